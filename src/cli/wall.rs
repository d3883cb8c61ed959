//! `--kiosk`, `--lobby` and their sections of the configuration, in the terms of the terminal program's state.

use std::time::Duration;

use super::context::env;
use super::exit::Failure;
use crate::app::{Settings, wall};
use crate::config::{KioskConfig, Loaded, LobbyConfig};
use crate::wire::ChannelId;

/// What the terminal program is called where the machine has no name.
const NAMELESS: &str = "a terminal";

/// What the flags say of it.
#[derive(Debug, Clone, Default)]
pub(super) struct WallFlags {
    /// Be a read-only dashboard.
    pub kiosk: bool,
    /// The lobby's channel.
    pub lobby: Option<String>,
}

/// Puts kiosk and lobby into the settings. `seed`: random bits of this start.
///
/// # Errors
/// When the lobby's channel is no id, or is to come from an environment variable that is not set.
pub(super) fn apply(settings: &mut Settings, loaded: &Loaded, flags: &WallFlags, seed: u64) -> Result<(), Failure> {
    settings.wall = wall::Settings {
        kiosk: flags.kiosk.then(|| kiosk(&loaded.config.kiosk)),
        lobby: lobby(&loaded.config.lobby, flags.lobby.as_deref(), env)?,
        seed,
    };
    if flags.kiosk {
        // A dashboard runs nothing and calls nobody.
        settings.calls = Default::default();
        settings.notifications = Default::default();
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn kiosk(config: &KioskConfig) -> wall::kiosk::Settings {
    wall::kiosk::Settings {
        tiles: config.tiles,
        rotate_ms: millis(config.rotate).max(1_000),
        only: config.only.iter().map(|text| text.to_lowercase()).collect(),
        linger_ms: millis(config.linger),
        linger_failed_ms: millis(config.linger_failed),
        most: config.most,
        refresh_ms: millis(config.refresh).max(1_000),
    }
}

fn lobby(
    config: &LobbyConfig,
    flag: Option<&str>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<wall::lobby::Settings>, Failure> {
    let parse = |text: &str, from: &str| {
        ChannelId::parse(text)
            .map_err(|error| Failure::usage(format!("the lobby that {from} names is no channel: {error}")))
    };
    let channel = match (flag, &config.channel, &config.channel_env) {
        (Some(id), ..) => parse(id, "--lobby")?,
        (None, Some(id), _) => id.clone(),
        (None, None, Some(variable)) => match env(variable) {
            Some(id) => parse(&id, variable)?,
            None => {
                return Err(Failure::usage(format!(
                    "the lobby's channel is to come from {variable}, which is not set; set it, or take `channel_env` out \
                     of [lobby]"
                )));
            }
        },
        (None, None, None) => return Ok(None),
    };
    let name = config.name.clone().unwrap_or_else(|| {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // A machine's full name is of no use to people.
        let short = machine.split('.').next().unwrap_or_default();
        if short.is_empty() {
            NAMELESS.to_owned()
        } else {
            short.to_owned()
        }
    });
    Ok(Some(wall::lobby::Settings {
        channel,
        announce: config.announce,
        follow: config.follow,
        titles: config.titles,
        name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_decides_over_the_configuration_and_ids_are_checked() {
        let config = LobbyConfig {
            channel_env: Some("TEAM_LOBBY".into()),
            ..LobbyConfig::default()
        };
        let none = |_: &str| None;
        let channel = |settings: Option<wall::lobby::Settings>| settings.map(|lobby| lobby.channel.to_string());
        assert_eq!(lobby(&LobbyConfig::default(), None, none).ok().flatten(), None);
        let given = lobby(&config, Some("0123456789abcdef"), none).expect("good");
        assert_eq!(channel(given).as_deref(), Some("0123456789abcdef"));
        let from_env = lobby(&config, None, |_| Some("fedcba9876543210".into())).expect("good");
        assert_eq!(channel(from_env).as_deref(), Some("fedcba9876543210"));
        let missing = lobby(&config, None, none).expect_err("not set");
        assert!(missing.message.contains("TEAM_LOBBY"), "{}", missing.message);
        let short = lobby(&config, Some("geheim"), none).expect_err("too short");
        assert!(
            short.message.contains("16 characters") && !short.message.contains("geheim"),
            "{}",
            short.message
        );
    }
}
