//! Which server a command talks to, and which secret goes there (DESIGN, "Which server").
//!
//! A pure function of flags, environment and configuration: flags, then `SWITCHBOARD_URL`, then one of
//! the hosted service's variables, then the profile, then the local server. A secret of the hosted
//! service goes to its host or to a profile that names it, and nowhere else.

use super::file::unknown_profile;
use super::value::check_url;
use super::{Config, ProfileConfig, Secret};

/// The base URL of the hosted service.
pub const HOSTED_URL: &str = "https://api.chatbotkit.com";

/// The variables that hold a secret of the hosted service, first come first served.
pub const HOSTED_VARIABLES: [&str; 3] = ["CHATBOTKIT_API_SECRET", "CHATBOTKIT_API_TOKEN", "CHATBOTKIT_API_KEY"];

/// What the flags say about the server; at most one of them is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFlags {
    /// `--url`.
    pub url: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--local`.
    pub local: bool,
}

/// The server to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChoice {
    /// The local server, found or started.
    Local,
    /// One that runs already.
    Remote(Remote),
}

/// A server that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What to call it: `hosted`, the profile's name, or its host.
    pub name: String,
    /// Its base URL, without a slash at the end.
    pub url: String,
    /// What to show it; `None` if nothing is known.
    pub token: Option<Secret>,
    /// Where its token can come from, for the message when it refuses.
    pub hint: String,
}

/// Why no server could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// A URL that is none.
    #[error("{place}: {problem}")]
    Url {
        /// The flag or variable.
        place: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A profile that the configuration does not have.
    #[error("--profile: {0}")]
    Profile(String),
    /// The variable that a profile names is not set.
    #[error("profile `{profile}` takes its token from {variable}, which is not set; set it, or choose another server")]
    Variable {
        /// The profile.
        profile: String,
        /// The variable.
        variable: String,
    },
}

/// Chooses the server. `env` looks up an environment variable; an empty one counts as not set.
///
/// # Errors
/// When what was asked for is not there: a bad URL, an unknown profile, a token that is not set.
pub fn choose_server(
    flags: &ServerFlags,
    env: impl Fn(&str) -> Option<String>,
    config: &Config,
) -> Result<ServerChoice, ChoiceError> {
    let secret = |name: &str| env(name).as_deref().and_then(Secret::new);
    let hosted_secret = || HOSTED_VARIABLES.iter().find_map(|name| secret(name));
    let env_url = env("SWITCHBOARD_URL").filter(|url| !url.trim().is_empty());
    if flags.local {
        return Ok(ServerChoice::Local);
    }
    if let Some(url) = &flags.url {
        let url = check_url(url).map_err(|problem| ChoiceError::Url {
            place: "--url",
            problem,
        })?;
        // A token that was set for another server stays there.
        let own = env_url.as_deref().is_none_or(|other| same_origin(other, &url));
        let token = own.then(|| secret("SWITCHBOARD_TOKEN")).flatten();
        return Ok(ServerChoice::Remote(by_url(url, token, hosted_secret)));
    }
    if let Some(name) = &flags.profile {
        let profile = config
            .profiles
            .get(name)
            .ok_or_else(|| ChoiceError::Profile(unknown_profile(name, config)))?;
        return by_profile(name, profile, secret, hosted_secret).map(ServerChoice::Remote);
    }
    if let Some(url) = env_url {
        let url = check_url(&url).map_err(|problem| ChoiceError::Url {
            place: "SWITCHBOARD_URL",
            problem,
        })?;
        return Ok(ServerChoice::Remote(by_url(
            url,
            secret("SWITCHBOARD_TOKEN"),
            hosted_secret,
        )));
    }
    if let Some(token) = hosted_secret() {
        return Ok(ServerChoice::Remote(hosted(Some(token))));
    }
    if let Some(name) = config.profile_name()
        && let Some(profile) = config.profiles.get(name)
    {
        return by_profile(name, profile, secret, hosted_secret).map(ServerChoice::Remote);
    }
    Ok(ServerChoice::Local)
}

fn hosted(token: Option<Secret>) -> Remote {
    Remote {
        name: "hosted".to_owned(),
        url: HOSTED_URL.to_owned(),
        token,
        hint: HOSTED_VARIABLES[0].to_owned(),
    }
}

fn by_url(url: String, token: Option<Secret>, hosted_secret: impl FnOnce() -> Option<Secret>) -> Remote {
    if is_hosted(&url) {
        return hosted(token.or_else(hosted_secret));
    }
    Remote {
        name: authority(&url),
        url,
        token,
        hint: "SWITCHBOARD_TOKEN".to_owned(),
    }
}

fn by_profile(
    name: &str,
    profile: &ProfileConfig,
    secret: impl Fn(&str) -> Option<Secret>,
    hosted_secret: impl FnOnce() -> Option<Secret>,
) -> Result<Remote, ChoiceError> {
    let url = profile.url.clone().unwrap_or_else(|| HOSTED_URL.to_owned());
    let takes_hosted = profile.hosted || is_hosted(&url);
    let (token, hint) = match (&profile.token, &profile.token_env) {
        (Some(token), _) => (Some(token.clone()), format!("`token` of [profiles.{name}]")),
        (None, Some(variable)) => match secret(variable) {
            Some(token) => (Some(token), variable.clone()),
            None => {
                return Err(ChoiceError::Variable {
                    profile: name.to_owned(),
                    variable: variable.clone(),
                });
            }
        },
        (None, None) if takes_hosted => (hosted_secret(), HOSTED_VARIABLES[0].to_owned()),
        (None, None) => (None, format!("`token_env` of [profiles.{name}]")),
    };
    Ok(Remote {
        name: name.to_owned(),
        url,
        token,
        hint,
    })
}

/// Whether a base URL is the hosted service's: its host, and encrypted.
fn is_hosted(url: &str) -> bool {
    same_origin(url, HOSTED_URL)
}

fn same_origin(left: &str, right: &str) -> bool {
    parts(left).is_some_and(|left| parts(right) == Some(left))
}

/// Scheme, host and port of an address, equal for all ways to write it; the address itself if it is none.
#[must_use]
pub fn origin(url: &str) -> String {
    match parts(url) {
        Some((scheme, host, port)) => format!("{scheme}://{host}:{port}"),
        None => url.to_owned(),
    }
}

fn parts(url: &str) -> Option<(String, String, u16)> {
    let uri: http::Uri = url.trim().parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn authority(url: &str) -> String {
    url.parse::<http::Uri>()
        .ok()
        .and_then(|uri| uri.authority().map(ToString::to_string))
        .unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::Path;

    const CONFIG: &str = r#"
        profile = "team"
        [profiles.team]
        url = "https://team.example.com/"
        token_env = "TEAM_TOKEN"
        [profiles.written]
        url = "http://10.0.0.1:7280"
        token = "in-the-file"
        [profiles.hosted]
        hosted = true
        [profiles.proxy]
        url = "https://proxy.example.com"
        hosted = true
        [profiles.open]
        url = "http://127.0.0.1:7280"
        [profiles.named]
        url = "https://other.example.com"
        token_env = "CHATBOTKIT_API_KEY"
    "#;

    /// Flags, environment, configuration, and what comes out.
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);

    /// Flags, environment, and what comes out: `local`, `name url token` or an error's text.
    fn outcome(flags: &[&str], env: &[(&str, &str)], config: &str) -> String {
        let config = Config::parse(Path::new("config.toml"), config).expect("a good configuration");
        let env: HashMap<&str, &str> = env.iter().copied().collect();
        let mut asked = ServerFlags::default();
        match flags {
            [] => {}
            ["--local"] => asked.local = true,
            ["--url", url] => asked.url = Some((*url).to_owned()),
            ["--profile", name] => asked.profile = Some((*name).to_owned()),
            other => panic!("{other:?}"),
        }
        match choose_server(&asked, |name| env.get(name).map(|text| (*text).to_owned()), &config) {
            Ok(ServerChoice::Local) => "local".to_owned(),
            Ok(ServerChoice::Remote(remote)) => {
                let token = remote.token.as_ref().map_or("-", Secret::expose);
                format!("{} {} {token}", remote.name, remote.url)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn flags_then_environment_then_profile_then_local() {
        let all = [
            ("SWITCHBOARD_URL", "https://env.example.com"),
            ("SWITCHBOARD_TOKEN", "env-token"),
            ("CHATBOTKIT_API_SECRET", "hosted-1"),
            ("CHATBOTKIT_API_TOKEN", "hosted-2"),
            ("CHATBOTKIT_API_KEY", "hosted-3"),
            ("TEAM_TOKEN", "team-token"),
        ];
        let hosted_only = &all[2..];
        let team_only = &all[5..];
        let hosted_url = "https://API.chatbotkit.com:443/";
        let table: &[Row<'_>] = &[
            // Nothing at all.
            (&[], &[], "", "local"),
            (
                &[],
                &[("SWITCHBOARD_URL", " "), ("CHATBOTKIT_API_KEY", "")],
                "",
                "local",
            ),
            (&[], &[("SWITCHBOARD_TOKEN", "t")], "", "local"),
            // The order.
            (&[], team_only, CONFIG, "team https://team.example.com team-token"),
            (&[], hosted_only, CONFIG, "hosted https://api.chatbotkit.com hosted-1"),
            (&[], &all[3..], CONFIG, "hosted https://api.chatbotkit.com hosted-2"),
            (&[], &all[4..], CONFIG, "hosted https://api.chatbotkit.com hosted-3"),
            (&[], &all, CONFIG, "env.example.com https://env.example.com env-token"),
            (&["--local"], &all, CONFIG, "local"),
            (
                &["--profile", "team"],
                &all,
                CONFIG,
                "team https://team.example.com team-token",
            ),
            (
                &["--profile", "written"],
                &all,
                CONFIG,
                "written http://10.0.0.1:7280 in-the-file",
            ),
            // A token goes only where it belongs.
            (
                &["--url", "http://localhost:1"],
                &all,
                CONFIG,
                "localhost:1 http://localhost:1 -",
            ),
            (
                &["--url", "https://env.example.com/"],
                &all,
                CONFIG,
                "env.example.com https://env.example.com env-token",
            ),
            (
                &["--url", "http://env.example.com"],
                &all,
                CONFIG,
                "env.example.com http://env.example.com -",
            ),
            (
                &["--url", "http://localhost:1"],
                &all[1..2],
                "",
                "localhost:1 http://localhost:1 env-token",
            ),
            (
                &["--url", "http://localhost:1"],
                hosted_only,
                "",
                "localhost:1 http://localhost:1 -",
            ),
            (
                &["--url", hosted_url],
                hosted_only,
                "",
                "hosted https://api.chatbotkit.com hosted-1",
            ),
            (
                &["--url", "http://api.chatbotkit.com"],
                hosted_only,
                "",
                "api.chatbotkit.com http://api.chatbotkit.com -",
            ),
            (
                &["--url", "https://api.chatbotkit.com.evil.example"],
                hosted_only,
                "",
                "api.chatbotkit.com.evil.example https://api.chatbotkit.com.evil.example -",
            ),
            (
                &[],
                &[("SWITCHBOARD_URL", "http://h:1"), all[2]],
                "",
                "h:1 http://h:1 -",
            ),
            (
                &[],
                &[("SWITCHBOARD_URL", hosted_url), all[2]],
                "",
                "hosted https://api.chatbotkit.com hosted-1",
            ),
            (&["--profile", "open"], &all, CONFIG, "open http://127.0.0.1:7280 -"),
            (
                &["--profile", "hosted"],
                &all,
                CONFIG,
                "hosted https://api.chatbotkit.com hosted-1",
            ),
            (
                &["--profile", "proxy"],
                &all,
                CONFIG,
                "proxy https://proxy.example.com hosted-1",
            ),
            (
                &["--profile", "named"],
                &all,
                CONFIG,
                "named https://other.example.com hosted-3",
            ),
            // What is refused.
            (
                &[],
                &[],
                CONFIG,
                "profile `team` takes its token from TEAM_TOKEN, which is not set; set it, or choose another server",
            ),
            (
                &["--profile", "tema"],
                &all,
                CONFIG,
                "--profile: there is no profile `tema`; did you mean `team`? (expected one of `hosted`, `named`, `open`, `proxy`, `team`, `written`)",
            ),
            (
                &["--profile", "x"],
                &all,
                "",
                "--profile: there is no profile `x`, expected a section [profiles.x]",
            ),
            (
                &["--url", "ftp://x"],
                &all,
                "",
                "--url: `ftp://x` does not begin with http:// or https://, expected an address such as https://switchboard.example.com",
            ),
            (
                &["--url", "http://me:pass@x"],
                &all,
                "",
                "--url: an address with a user name in it is refused; give the token on its own",
            ),
        ];
        for (flags, env, config, expected) in table {
            assert_eq!(&outcome(flags, env, config), expected, "{flags:?} {env:?}");
        }
    }
}
