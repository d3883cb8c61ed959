//! Hands over to the terminal program: how it looks, and how it finds its server.

use std::io::IsTerminal as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::context::{Context, env};
use super::exit::{Exit, Failure};
use super::model::hex;
use super::wall::{self, WallFlags};
use super::{logging, one_thread, settings};
use crate::app::Settings;
use crate::client::{Client, ClientError, Timeouts};
use crate::config::select::origin;
use crate::config::{self, ColorChoice, Loaded, Remote, Secret, ServerChoice};
use crate::term::background;
use crate::tui::{self, ColorDepth, NoServer, TuiOptions, UiOptions};

/// What the flags say of how it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    /// ASCII characters alone.
    pub ascii: bool,
    /// When to use colours.
    pub color: Option<ColorChoice>,
    /// Lines instead of a screen.
    pub linear: bool,
}

/// Runs the terminal program. Nothing is connected before its first frame.
pub(super) fn run(context: Context, flags: Looks, wall: WallFlags) -> Result<Exit, Failure> {
    let linear = flags.linear || (context.loaded.config.ui.linear && !wall.kiosk);
    if linear && wall.kiosk {
        return Err(Failure::usage(
            "--linear and --kiosk exclude each other; give one of them",
        ));
    }
    if linear {
        // Lines need no terminal.
    } else if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the terminal program needs a terminal on standard input and output; in scripts use a command \
             (see `switchboard --help`), or lines instead of a screen: --linear",
        ));
    }
    let choice = context.server()?;
    // What no waiting mends is told before the screen is taken.
    Context::check(&choice)?;
    let _log = logging::to_files(&context.places.state_dir().join("log"), "info");
    let kiosk = wall.kiosk;
    let seed = random_bits();
    let recordings = context.places.data_dir().join("recordings");
    let read = move |loaded: &Loaded| {
        let (mut settings, warnings) = settings::settings(loaded)?;
        wall::apply(&mut settings, loaded, &wall, seed)?;
        let directory = &loaded.config.recordings.directory;
        settings.recordings.directory = directory.clone().unwrap_or_else(|| recordings.clone());
        Ok::<_, Failure>((settings, looks(loaded, flags), warnings))
    };
    let (settings, ui, warnings) = read(&context.loaded)?;
    let warning = warnings.first().map(ToString::to_string);
    let ask_background = ui.color && settings.look.background.is_none() && background::may_be_asked(env);
    let local = matches!(choice, ServerChoice::Local);
    let server_name = match &choice {
        ServerChoice::Local => "local".to_owned(),
        ServerChoice::Remote(remote) => remote.name.clone(),
    };
    let state_file = context.places.state_dir().join(state_file(&choice, kiosk));
    let config = context.loaded.found.then(|| config_file(&context, read));
    let shared = Arc::new((context, choice));
    let connect: tui::Connect = Box::new(move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (context, choice) = &*shared;
            let (endpoint, notice) = context.connect(choice).await.map_err(|failure| failure.message)?;
            let client = Client::new(endpoint, Timeouts::default()).map_err(|error| error.to_string())?;
            // Whether it answers at all is the question; a server that tells nothing about itself is fine.
            let info = client.server_info().await.map_err(no_server)?;
            Ok(tui::Found { client, info, notice })
        })
    });
    let options = TuiOptions {
        server_name,
        local,
        connect,
        state_file,
        ui,
        ask_background,
        settings,
        warning,
        config,
    };
    let runtime = one_thread()?;
    let ended = if linear {
        runtime.block_on(tui::linear::run(options))
    } else {
        runtime.block_on(tui::run(options))
    };
    ended.map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    Ok(Exit::Done)
}

/// How the screen looks, as flags, environment and configuration say.
fn looks(loaded: &Loaded, Looks { ascii, color, .. }: Looks) -> UiOptions {
    let config = &loaded.config.ui;
    let color = match color.unwrap_or(config.color) {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => env("NO_COLOR").is_none(),
    };
    UiOptions {
        ascii: ascii || config.ascii,
        links: config.links,
        color,
        depth: ColorDepth::detect(env),
        utc_offset_seconds: jiff::Zoned::now().offset().seconds(),
    }
}

/// The configuration's file and how it is read again. What a server is, is not decided anew.
fn config_file<W>(
    context: &Context,
    read: impl Fn(&Loaded) -> Result<(Settings, UiOptions, W), Failure> + Send + Sync + 'static,
) -> tui::wall::ConfigFile {
    let (path, places) = (context.loaded.path.clone(), context.places.clone());
    let of = path.clone();
    let read: tui::wall::ReadConfig = Arc::new(move || {
        let loaded = config::load(Some(&of), &places).map_err(|error| error.to_string())?;
        let (settings, ui, _) = read(&loaded).map_err(|failure| failure.message)?;
        Ok((settings, ui))
    });
    tui::wall::ConfigFile { path, read }
}

/// Random bits; without any from the system the time has to do: they only spread delays.
fn random_bits() -> u64 {
    getrandom::u64().unwrap_or_else(|_| jiff::Timestamp::now().as_nanosecond() as u64)
}

/// Why a server did not answer; one that does not take the secret is no server that cannot be reached.
fn no_server(error: ClientError) -> NoServer {
    NoServer {
        refused: matches!(error, ClientError::Api { status: 401 | 403, .. }),
        reason: error.to_string(),
    }
}

/// The name of the file that remembers what is watched on a server, and what was being typed for it. Channel ids
/// are secrets of their account: no other server and no other account is asked about them.
fn state_file(choice: &ServerChoice, kiosk: bool) -> String {
    // A dashboard keeps a list of its own.
    let program = if kiosk { "kiosk" } else { "terminal" };
    match choice {
        ServerChoice::Local => format!("{program}.json"),
        ServerChoice::Remote(Remote { url, token, .. }) => {
            // The secret enters as a digest of its own, and neither it nor the address can be read from the name.
            let account = Sha256::digest(token.as_ref().map_or("", Secret::expose));
            let digest = Sha256::new_with_prefix("switchboard terminal ")
                .chain_update(origin(url))
                .chain_update(account)
                .finalize();
            format!("{program}-{}.json", hex(&digest[..8]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(url: &str, token: &str) -> String {
        state_file(
            &ServerChoice::Remote(Remote {
                name: "name".into(),
                url: url.into(),
                token: Secret::new(token),
                hint: String::new(),
            }),
            false,
        )
    }

    #[test]
    fn each_server_and_account_has_a_file_of_its_own() {
        assert_eq!(state_file(&ServerChoice::Local, false), "terminal.json");
        let one = file("https://one.example", "geheim");
        assert_eq!(one, file("https://ONE.example:443/", "geheim"));
        let others = [
            file("https://two.example", "geheim"),
            file("http://one.example", "geheim"),
            file("https://one.example:8443", "geheim"),
            file("https://one.example", "other"),
            file("https://one.example", ""),
            state_file(&ServerChoice::Local, false),
        ];
        assert_eq!(state_file(&ServerChoice::Local, true), "kiosk.json");
        assert!(!others.contains(&one), "{one} {others:?}");
        assert!(!one.contains("geheim") && !one.contains("one"), "{one}");
        assert_eq!(one.len(), "terminal-0123456789abcdef.json".len());
    }
}
