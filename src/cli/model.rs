//! Which models a server uses: flags and environment, then the configuration, then what runs on this
//! machine, then the demo; and what judges messages.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::args::ModelArgs;
use super::exit::Failure;
use crate::config::{ModelConfig, ServerConfig, check_url};
use crate::llm::{
    self, Demo, Model, ModelError, ModelOptions, ModelSource, Moderations, Moderator, NamePattern, Retries, Route,
    Router, probe,
};

/// Which models a server uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    default: DefaultModel,
    /// Further endpoints, and the names that each answers.
    routes: Vec<(Vec<NamePattern>, ModelOptions)>,
    /// What judges messages.
    moderation: Option<ModelOptions>,
}

/// What answers requests that name no model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DefaultModel {
    /// The one behind this endpoint.
    Endpoint(ModelOptions),
    /// One that runs on this machine, else the demo.
    Search,
    /// The built-in demo.
    Demo,
}

impl ModelChoice {
    /// Decides by flags (with their environment), then the configuration. `env` looks up keys.
    ///
    /// # Errors
    /// When a URL comes without a model's name, or the other way around, or is none.
    pub fn resolve(
        args: &ModelArgs,
        env: impl Fn(&str) -> Option<String>,
        config: &ServerConfig,
    ) -> Result<Self, Failure> {
        let moderation = &config.moderation;
        let moderation = moderation.url.as_deref().map(|url| ModelOptions {
            key: key(&env, moderation.key_env.as_deref(), "[server.moderation]"),
            silence: moderation.silence,
            retries: Retries {
                count: moderation.retries,
                ..Retries::default()
            },
            ..ModelOptions::new(url, moderation.model.as_deref().unwrap_or_default())
        });
        let mut routes = Vec::new();
        // The flag means that nothing is asked.
        for (name, upstream) in config.models.iter().filter(|_| !args.demo) {
            let section = format!("[server.models.{}]", name.get_ref());
            let patterns = upstream.models.iter().map(|name| NamePattern::new(name));
            let patterns: Result<Vec<_>, _> = patterns.collect();
            let patterns = patterns.map_err(|error| Failure::usage(format!("`models` of {section}: {error}")))?;
            let options = ModelOptions {
                key: key(&env, upstream.key_env.as_deref(), &section),
                silence: upstream.silence,
                images: upstream.images,
                retries: Retries {
                    count: upstream.retries,
                    within: upstream.retry_for,
                },
                // Requests that come here name their model themselves.
                ..ModelOptions::new(upstream.url.as_deref().unwrap_or_default(), name.get_ref().as_str())
            };
            routes.push((patterns, options));
        }
        Ok(Self {
            default: default_model(args, env, &config.model, &routes)?,
            routes,
            moderation,
        })
    }

    /// A digest of everything that a server of this choice and this configuration does; nothing can be
    /// read back from it.
    #[must_use]
    pub fn digest(&self, config: &ServerConfig) -> String {
        let mut options: Vec<&ModelOptions> = self.routes.iter().map(|(_, options)| options).collect();
        options.extend(&self.moderation);
        if let DefaultModel::Endpoint(default) = &self.default {
            options.push(default);
        }
        let keys: Vec<&str> = options
            .iter()
            .map(|options| options.key.as_ref().map_or("", llm::Secret::expose))
            .collect();
        // Every section is named, so that a new one is not forgotten.
        let ServerConfig {
            data_dir,
            idle_exit,
            limits,
            retention,
            http,
            log,
            attachments,
            bots,
            datasets,
            skillsets,
            // They are in the choice.
            model: _,
            models: _,
            moderation: _,
            // The local server has an address, a secret and readers of its own.
            listen: _,
            secrets: _,
            accounts: _,
            tls: _,
            cors: _,
            metrics: _,
        } = config;
        // `Debug` of the choice hides the keys, so they are added.
        let text = format!(
            "{self:?}\n{}\n{limits:?}\n{retention:?}\n{idle_exit:?}\n{data_dir:?}\n{bots:?}\n{datasets:?}\n\
             {skillsets:?}\n{http:?}\n{log:?}\n{attachments:?}",
            keys.join("\n"),
        );
        hex(&Sha256::digest(text.as_bytes())[..16])
    }

    /// What judges messages, if anything does.
    ///
    /// # Errors
    /// When what is configured cannot be used.
    pub fn moderator(&self) -> Result<Option<Arc<dyn Moderator>>, Failure> {
        let Some(options) = self.moderation.clone() else {
            return Ok(None);
        };
        let moderations = Moderations::new(options)
            .map_err(|error| Failure::usage(format!("[server.moderation] cannot be used: {error}")))?;
        Ok(Some(Arc::new(moderations)))
    }

    /// The model, and a line that says which one it is.
    ///
    /// # Errors
    /// When a configured one cannot be used.
    pub async fn open(self) -> Result<(Arc<dyn Model>, String), Failure> {
        let unusable = |error: ModelError| Failure::usage(format!("the model cannot be used: {error}"));
        let (default, mut said) = open_default(self.default).await?;
        if self.routes.is_empty() {
            return Ok((default, said));
        }
        let mut routes = Vec::with_capacity(self.routes.len());
        for (names, options) in self.routes {
            let list: Vec<String> = names.iter().map(ToString::to_string).collect();
            let _ = write!(said, "; {} at {}", list.join(", "), options.base_url);
            routes.push(Route {
                names,
                model: llm::connect(options).map_err(unusable)?,
            });
        }
        Ok((Arc::new(Router::new(default, routes)), said))
    }
}

/// The key of an endpoint, from the variable that its section names.
fn key(env: &impl Fn(&str) -> Option<String>, variable: Option<&str>, section: &str) -> Option<llm::Secret> {
    let variable = variable?;
    let key = env(variable);
    if key.is_none() {
        tracing::warn!("{variable} is not set: the endpoint of {section} is asked without a key");
    }
    key.map(llm::Secret::new)
}

fn default_model(
    args: &ModelArgs,
    env: impl Fn(&str) -> Option<String>,
    config: &ModelConfig,
    routes: &[(Vec<NamePattern>, ModelOptions)],
) -> Result<DefaultModel, Failure> {
    if args.demo || (config.demo && args.model_url.is_none()) {
        return Ok(DefaultModel::Demo);
    }
    let given = args.model_url.as_deref().map(check_url).transpose();
    let given =
        given.map_err(|problem| Failure::usage(format!("`--model-url` (or SWITCHBOARD_MODEL_URL): {problem}")))?;
    // A name alone replaces the configured name; a URL alone does not belong to the configured name.
    let (url, name) = match (&given, &args.model_name) {
        (Some(url), name) => (Some(url), name.as_ref()),
        (None, name) => (config.url.as_ref(), name.as_ref().or(config.name.as_ref())),
    };
    match (url, name) {
        (None, None) if routes.is_empty() => Ok(DefaultModel::Search),
        (None, None) => Err(Failure::usage(
            "no model is the default: give --model NAME, or `name` in [server.model], with a name that one of \
             [server.models] has",
        )),
        (Some(url), Some(name)) => {
            let key = match (&given, &config.key_env) {
                (None, Some(variable)) => key(&env, Some(variable), "[server.model]"),
                _ => env("SWITCHBOARD_MODEL_KEY").map(llm::Secret::new),
            };
            Ok(DefaultModel::Endpoint(ModelOptions {
                key,
                silence: config.silence,
                images: config.images,
                retries: Retries {
                    count: config.retries,
                    within: config.retry_for,
                },
                ..ModelOptions::new(url.as_str(), name.as_str())
            }))
        }
        (Some(url), None) => Err(Failure::usage(format!(
            "the model at {url} needs a name: give --model NAME, or `name` in [server.model]"
        ))),
        (None, Some(name)) => {
            let route = routes
                .iter()
                .find(|(names, _)| names.iter().any(|pattern| pattern.matches(name)));
            match route {
                Some((_, options)) => Ok(DefaultModel::Endpoint(ModelOptions {
                    model: name.clone(),
                    ..options.clone()
                })),
                None => Err(Failure::usage(format!(
                    "the model {name} needs an address: give --model-url URL, or `url` in [server.model], or a section \
                     [server.models.NAME] that has the name"
                ))),
            }
        }
    }
}

async fn open_default(default: DefaultModel) -> Result<(Arc<dyn Model>, String), Failure> {
    let (configured, candidates) = match default {
        DefaultModel::Demo => {
            return Ok((
                Arc::new(Demo::default()),
                "the built-in demo (no language model)".to_owned(),
            ));
        }
        DefaultModel::Endpoint(options) => (Some(options), Vec::new()),
        DefaultModel::Search => (None, probe::well_known()),
    };
    let place = configured.as_ref().map(|options| options.base_url.clone());
    let (model, source) = llm::find(configured, &candidates)
        .await
        .map_err(|error| Failure::usage(format!("the model cannot be used: {error}")))?;
    let said = match source {
        ModelSource::Configured => format!("{} at {}", model.name(), place.unwrap_or_default()),
        ModelSource::Found { base_url } => {
            format!("{} at {base_url} (found running on this machine)", model.name())
        }
        ModelSource::Demo => {
            tracing::warn!("no language model is named, and none was found: the built-in demo answers");
            "the built-in demo (no language model was found on this machine; name one with --model-url and --model, or in \
             [server.model])"
                .to_owned()
        }
    };
    Ok((model, said))
}

/// Bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "[server.models.big]\nmodels = [\"big-*\"]\nurl = \"http://big/v1\"\nkey_env = \"BIG_KEY\"\n\
                          images = true\nretries = 1\n[server.models.rest]\nmodels = [\"*\"]\nurl = \"http://rest/v1\"\n\
                          [server.moderation]\nurl = \"http://judge/v1\"\nkey_env = \"OWN_KEY\"\n";

    fn config(text: &str) -> ServerConfig {
        let path = std::path::Path::new("switchboard.toml");
        crate::config::Config::parse(path, text).expect("a good file").server
    }

    fn resolve(url: Option<&str>, name: Option<&str>, demo: bool, text: &str) -> Result<ModelChoice, Failure> {
        let args = ModelArgs {
            model_url: url.map(str::to_owned),
            model_name: name.map(str::to_owned),
            demo,
        };
        let env = |name: &str| match name {
            "SWITCHBOARD_MODEL_KEY" => Some("geheim".to_owned()),
            "OWN_KEY" => Some("own".to_owned()),
            "BIG_KEY" => Some("big".to_owned()),
            _ => None,
        };
        ModelChoice::resolve(&args, env, &config(text))
    }

    fn shown(options: &ModelOptions) -> String {
        let key = options.key.as_ref().map_or("no key", llm::Secret::expose);
        format!("{} {} {key}", options.base_url, options.model)
    }

    /// The default in short.
    fn default(url: Option<&str>, name: Option<&str>, demo: bool, text: &str) -> String {
        match resolve(url, name, demo, text) {
            Ok(choice) => match &choice.default {
                DefaultModel::Endpoint(options) => shown(options),
                other => format!("{other:?}"),
            },
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn flags_then_configuration_then_search() {
        let none = "";
        let file = "[server.model]\nurl = \"http://file/v1\"\nname = \"file\"\nkey_env = \"OWN_KEY\"";
        let demo = "[server.model]\ndemo = true";
        let named = format!("{ROUTES}[server.model]\nname = \"big-one\"");
        for (url, name, flag, text, expected) in [
            (None, None, false, none, "Search"),
            (None, None, true, file, "Demo"),
            (None, None, false, demo, "Demo"),
            (None, None, false, file, "http://file/v1 file own"),
            (None, Some("n"), false, file, "http://file/v1 n own"),
            (Some("http://flag"), Some("n"), false, file, "http://flag n geheim"),
            (Some("http://flag"), None, false, file, "refused"),
            (None, Some("n"), false, none, "refused"),
            (None, None, false, ROUTES, "refused"),
            (None, None, false, &named, "http://big/v1 big-one big"),
            (None, Some("other"), false, &named, "http://rest/v1 other no key"),
            (None, None, true, &named, "Demo"),
        ] {
            assert_eq!(
                default(url, name, flag, text),
                expected,
                "{url:?} {name:?} {flag} {text}"
            );
        }
    }

    #[tokio::test]
    async fn further_upstreams_answer_their_names() {
        let text = format!("{ROUTES}[server.model]\nname = \"big-one\"\nretries = 9");
        let choice = resolve(None, None, false, &text).expect("a choice");
        let routes: Vec<String> = choice.routes.iter().map(|(_, options)| shown(options)).collect();
        assert_eq!(routes, ["http://big/v1 big big", "http://rest/v1 rest no key"]);
        assert_eq!(choice.routes[0].1.retries.count, 1);
        let judge = choice.moderation.as_ref().map(shown);
        assert_eq!(judge.as_deref(), Some("http://judge/v1  own"));
        assert!(choice.moderator().expect("a moderator").is_some());
        let (model, said) = choice.open().await.expect("a model");
        assert_eq!(
            said,
            "big-one at http://big/v1; big-* at http://big/v1; * at http://rest/v1"
        );
        assert_eq!(model.name(), "big-one");
        assert!(model.takes_images(None) && !model.takes_images(Some("small")));
        // The flag asks nobody.
        let demo = resolve(None, None, true, &text).expect("a choice");
        assert!(demo.routes.is_empty());
        assert!(demo.open().await.expect("the demo").0.is_demo());
    }

    #[test]
    fn the_digest_tells_configurations_apart_and_not_their_keys() {
        let config = ServerConfig::default();
        let choice = |default| ModelChoice {
            default,
            routes: Vec::new(),
            moderation: None,
        };
        let digest = |default| choice(default).digest(&config);
        let mut options = ModelOptions::new("http://h/v1", "m");
        let without = digest(DefaultModel::Endpoint(options.clone()));
        options.key = Some(llm::Secret::new("geheim"));
        let with = digest(DefaultModel::Endpoint(options.clone()));
        assert_ne!(with, without);
        assert_ne!(digest(DefaultModel::Demo), digest(DefaultModel::Search));
        assert_eq!(digest(DefaultModel::Demo), digest(DefaultModel::Demo));
        assert!(!with.contains("geheim"));
        let judged = |key: &str| {
            options.key = Some(llm::Secret::new(key));
            let moderation = Some(options.clone());
            ModelChoice {
                moderation,
                ..choice(DefaultModel::Demo)
            }
            .digest(&config)
        };
        let mut judged = judged;
        assert_ne!(judged("one"), judged("two"));
    }

    #[test]
    fn the_digest_changes_with_every_section_that_the_local_server_uses() {
        let digest = |text: &str| {
            let config = config(text);
            let choice = resolve(None, None, true, text).expect("a choice");
            choice.digest(&config)
        };
        let none = digest("");
        for text in [
            "[server]\nidle_exit = \"1h\"",
            "[server.limits]\niterations = 3",
            "[server.retention]\nevents = 100",
            "[server.http]\nrequests_per_second = 9",
            "[server.log]\nlevel = \"debug\"",
            "[server.attachments]\nallow = [\"127.0.0.1\"]",
            "[server.bots.zoo]\nbackstory = \"b\"",
            "[server.datasets.animals]\nrecords = [\"r\"]",
            "[server.skillsets.s]\n[[server.skillsets.s.abilities]]\nname = \"n\"\ndescription = \"d\"\ninstruction = \"i\"",
            "[server.moderation]\nurl = \"http://judge/v1\"",
        ] {
            assert_ne!(digest(text), none, "{text}");
        }
        // These are not for the local server.
        assert_eq!(digest("[server]\nlisten = \"127.0.0.1:9\""), none);
    }

    #[test]
    fn a_password_in_the_flag_is_refused_and_not_repeated() {
        for url in [
            "http://me:geheim@host/v1",
            "http://me:ge heim@host/v1",
            "me:geheim@host",
        ] {
            let refused = resolve(Some(url), Some("n"), false, "").expect_err("it is refused");
            let text = format!("{refused:?}");
            assert!(text.contains("--model-url") && !text.contains("heim"), "{text}");
        }
        let refused = resolve(Some("host:80"), None, false, "").expect_err("it is refused");
        assert!(format!("{refused:?}").contains("http://"), "{refused:?}");
    }
}
