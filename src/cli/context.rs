//! What every command begins with: the configuration, the choice of the server, and a client for it.

use std::ffi::OsString;
use std::time::Duration;

use super::args::{CommonArgs, ModelArgs};
use super::exit::{Exit, Failure};
use super::model::ModelChoice;
use crate::client::{Client, Endpoint, Timeouts};
use crate::config::{self, Loaded, Places, Remote, ServerChoice, ServerFlags, choose_server};
use crate::local::{self, Files, LocalOptions, Record};

/// How long the start of the local server may take.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// The configuration and the flags of this call.
#[derive(Debug, Clone)]
pub struct Context {
    /// The flags.
    pub common: CommonArgs,
    /// The configuration.
    pub loaded: Loaded,
    /// The platform's places.
    pub places: Places,
}

impl Context {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When it is refused, or flags exclude each other.
    pub fn load(common: CommonArgs) -> Result<Self, Failure> {
        let servers = [common.url.is_some(), common.profile.is_some(), common.local];
        if servers.into_iter().filter(|given| *given).count() > 1 {
            return Err(Failure::usage(
                "--url, --profile and --local exclude each other; give one of them",
            ));
        }
        let places = Places::find()?;
        let loaded = config::load(common.config.as_deref(), &places)?;
        Ok(Self { common, loaded, places })
    }

    /// Which server this call talks to.
    ///
    /// # Errors
    /// When the flags, the environment or the profile name one that cannot be used.
    pub fn server(&self) -> Result<ServerChoice, Failure> {
        let flags = ServerFlags {
            url: self.common.url.clone(),
            profile: self.common.profile.clone(),
            local: self.common.local,
        };
        Ok(choose_server(&flags, env, &self.loaded.config)?)
    }

    /// A client of the server; the local server is started if it is needed. What the user should know
    /// about it goes to standard error.
    ///
    /// # Errors
    /// When no server can be chosen, or the local one cannot be started.
    pub async fn client(&self) -> Result<Client, Failure> {
        Ok(self.client_and_record().await?.0)
    }

    /// The same; and the record of the local server, if that is the one.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn client_and_record(&self) -> Result<(Client, Option<Record>), Failure> {
        let (endpoint, notice, record) = match self.server()? {
            ServerChoice::Remote(remote) => (endpoint(&remote)?, None, None),
            ServerChoice::Local => {
                let ensured = local::ensure(&self.local_options()?).await?;
                (ensured.endpoint, ensured.notice, Some(ensured.record))
            }
        };
        if let Some(notice) = notice {
            eprintln!("switchboard: {notice}");
        }
        Ok((Client::new(endpoint, Timeouts::default())?, record))
    }

    /// A command line of this program that talks to the same server, for a person to copy.
    #[must_use]
    pub fn command_line(&self, words: &[&str]) -> String {
        let mut line = "switchboard".to_owned();
        let mut add = |word: &str| {
            line.push(' ');
            line.push_str(&quoted(word));
        };
        let common = &self.common;
        let config = common.config.as_ref().filter(|_| env("SWITCHBOARD_CONFIG").is_none());
        for (flag, value) in [
            ("--config", config.map(|path| path.display().to_string())),
            ("--url", common.url.clone()),
            ("--profile", common.profile.clone()),
        ] {
            if let Some(value) = value {
                add(flag);
                add(&value);
            }
        }
        if common.local {
            add("--local");
        }
        words.iter().for_each(|word| add(word));
        line
    }

    /// Checks what can be known of a server without asking it.
    ///
    /// # Errors
    /// When its token is missing, or its address is none: trying again would not help.
    pub fn check(choice: &ServerChoice) -> Result<(), Failure> {
        match choice {
            ServerChoice::Remote(remote) => endpoint(remote).map(drop),
            ServerChoice::Local => Ok(()),
        }
    }

    /// Where the chosen server is, the local one started if it is needed; and what the user should know.
    ///
    /// # Errors
    /// When its token is missing, or the local server cannot be started.
    pub async fn connect(&self, choice: &ServerChoice) -> Result<(Endpoint, Option<String>), Failure> {
        match choice {
            ServerChoice::Remote(remote) => Ok((endpoint(remote)?, None)),
            ServerChoice::Local => {
                let ensured = local::ensure(&self.local_options()?).await?;
                Ok((ensured.endpoint, ensured.notice))
            }
        }
    }

    /// Where the local server's files are.
    #[must_use]
    pub fn local_files(&self) -> Files {
        Files::in_dir(self.places.state_dir())
    }

    /// The model that the configuration and the environment name, without flags.
    ///
    /// # Errors
    /// When what they name cannot be used.
    pub fn local_model(&self) -> Result<ModelChoice, Failure> {
        let args = ModelArgs {
            model_url: env("SWITCHBOARD_MODEL_URL"),
            model_name: env("SWITCHBOARD_MODEL"),
            demo: false,
        };
        ModelChoice::resolve(&args, env, &self.loaded.config.server)
    }

    fn local_options(&self) -> Result<LocalOptions, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Exit::Other, format!("this program's own file cannot be found: {error}")))?;
        let mut command = vec![program.into_os_string()];
        if self.loaded.found {
            // The server works in `/`, where a relative path would name another file.
            let path = std::path::absolute(&self.loaded.path).unwrap_or_else(|_| self.loaded.path.clone());
            command.extend([OsString::from("--config"), path.into_os_string()]);
        }
        command.push("local-server".into());
        Ok(LocalOptions {
            files: self.local_files(),
            command,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: self.local_model()?.digest(&self.loaded.config.server),
            deadline: START_DEADLINE,
        })
    }
}

/// An environment variable; one that is empty or no text counts as not set.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// A word as a shell takes it: in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn endpoint(remote: &Remote) -> Result<Endpoint, Failure> {
    let token = remote.token.as_ref().ok_or_else(|| {
        Failure::usage(format!(
            "no token is known for {} ({}); set {}",
            remote.name, remote.url, remote.hint
        ))
    })?;
    Endpoint::custom(remote.name.as_str(), &remote.url, token.expose())
        .map_err(|error| Failure::usage(format!("{error} (it comes from {})", remote.hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_token_is_refused_before_it_is_asked() {
        let mut remote = Remote {
            name: "mine".into(),
            url: "https://one.example".into(),
            token: None,
            hint: "SWITCHBOARD_TOKEN".into(),
        };
        let failure = Context::check(&ServerChoice::Remote(remote.clone())).expect_err("refused");
        assert!(failure.message.contains("set SWITCHBOARD_TOKEN"), "{}", failure.message);
        remote.token = crate::config::Secret::new("geheim");
        assert!(Context::check(&ServerChoice::Remote(remote)).is_ok());
        assert!(Context::check(&ServerChoice::Local).is_ok());
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [
            ("abc-DEF_0", "abc-DEF_0"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
            ("", "''"),
            ("{\"data\": …}", "'{\"data\": …}'"),
            ("it's $(rm)", r"'it'\''s $(rm)'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
