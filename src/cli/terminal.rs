//! Hands over to the terminal program: how it looks, and how it finds its server.

use std::io::IsTerminal as _;
use std::sync::Arc;

use super::context::{Context, env};
use super::exit::{Exit, Failure};
use super::{logging, one_thread};
use crate::client::{Client, Timeouts};
use crate::config::{ColorChoice, ServerChoice};
use crate::tui::{self, TuiOptions, UiOptions};

/// Runs the terminal program. Nothing is connected before its first frame.
pub(super) fn run(context: Context, ascii: bool, color: Option<ColorChoice>) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the terminal program needs a terminal on standard input and output; in scripts use a command \
             (see `switchboard --help`)",
        ));
    }
    let choice = context.server()?;
    let _log = logging::to_files(&context.places.state_dir().join("log"), "info");
    let color = match color.unwrap_or(context.loaded.config.ui.color) {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => env("NO_COLOR").is_none(),
    };
    let ui = UiOptions {
        ascii: ascii || context.loaded.config.ui.ascii,
        color,
        utc_offset_seconds: jiff::Zoned::now().offset().seconds(),
    };
    let local = matches!(choice, ServerChoice::Local);
    let server_name = match &choice {
        ServerChoice::Local => "local".to_owned(),
        ServerChoice::Remote(remote) => remote.name.clone(),
    };
    let state_file = context.places.state_dir().join("terminal.json");
    let shared = Arc::new((context, choice));
    let connect: tui::Connect = Box::new(move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (context, choice) = &*shared;
            let (endpoint, notice) = context.connect(choice).await.map_err(|failure| failure.message)?;
            let client = Client::new(endpoint, Timeouts::default()).map_err(|error| error.to_string())?;
            // Whether it answers at all is the question; a server that tells nothing about itself is fine.
            let info = client.server_info().await.map_err(|error| error.to_string())?;
            Ok(tui::Found { client, info, notice })
        })
    });
    let options = TuiOptions {
        server_name,
        local,
        connect,
        state_file,
        ui,
    };
    one_thread()?
        .block_on(tui::run(options))
        .map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    Ok(Exit::Done)
}
