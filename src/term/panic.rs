//! A panic anywhere gives the terminal back first, then prints its report, then ends the program.
//!
//! It does not decide how the program ends: the loop waits on [`panicked`] and returns.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

static INSTALL: Once = Once::new();
static PANICKED: AtomicBool = AtomicBool::new(false);
static WAKE: Notify = Notify::const_new();

/// Puts the restoring of the terminal in front of the panic hook that is installed now. Once is enough.
pub fn install_hook() {
    INSTALL.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // After this nothing more is drawn: the report stays the last thing on the screen.
            super::modes::leave();
            report(info);
            PANICKED.store(true, Ordering::SeqCst);
            WAKE.notify_one();
        }));
    });
}

/// Waits until something panicked, in any task or thread, after [`install_hook`]. One caller at a time.
pub async fn panicked() {
    while !PANICKED.load(Ordering::SeqCst) {
        WAKE.notified().await;
    }
}
