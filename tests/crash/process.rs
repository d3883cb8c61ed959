//! The program under test as a process: started on a data directory, killed or asked to end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A `switchboard serve`. It is killed when this is dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts one with its data and logs in `home`; it asks the model at `model`.
    pub fn start(home: &Path, number: usize, secret: &str, model: &str) -> Self {
        let log = home.join(format!("server-{number}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--model",
                "scripted",
                "--model-url",
                model,
            ])
            .arg("--data-dir")
            .arg(home.join("data"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("NO_COLOR", "1")
            .env("SWITCHBOARD_SECRET", secret)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("it starts");
        Self { child, log }
    }

    /// Its base URL, once it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn url(&mut self) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            // The line may be written in pieces.
            let said = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some((_, url)) = said.filter_map(|line| line.split_once("listens on ")).next() {
                return url.to_owned();
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended ({ended:?}): {log}");
            assert!(Instant::now() < end, "the server does not listen: {log}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        let _ = kill_process(self.pid(), Signal::TERM);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < end, "the server does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
