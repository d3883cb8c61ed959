//! Which model a server uses: flags and environment, then the configuration, then what runs on this
//! machine, then the demo.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::args::ModelArgs;
use super::exit::Failure;
use crate::config::{ModelConfig, ServerConfig};
use crate::llm::{self, Demo, Model, ModelOptions, ModelSource, probe};

/// Which model a server uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// The one behind this endpoint.
    Endpoint(ModelOptions),
    /// One that runs on this machine, else the demo.
    Search,
    /// The built-in demo.
    Demo,
}

impl ModelChoice {
    /// Decides by flags (with their environment), then the configuration. `env` looks up the key.
    ///
    /// # Errors
    /// When a URL comes without a model's name, or the other way around.
    pub fn resolve(
        args: &ModelArgs,
        env: impl Fn(&str) -> Option<String>,
        config: &ModelConfig,
    ) -> Result<Self, Failure> {
        if args.demo || (config.demo && args.model_url.is_none()) {
            return Ok(Self::Demo);
        }
        // A name alone replaces the configured name; a URL alone does not belong to the configured name.
        let (url, name) = match (&args.model_url, &args.model_name) {
            (Some(url), name) => (Some(url), name.as_ref()),
            (None, name) => (config.url.as_ref(), name.as_ref().or(config.name.as_ref())),
        };
        match (url, name) {
            (None, None) => Ok(Self::Search),
            (Some(url), Some(name)) => {
                let variable = match (&args.model_url, &config.key_env) {
                    (None, Some(variable)) => variable,
                    _ => "SWITCHBOARD_MODEL_KEY",
                };
                let mut options = ModelOptions::new(url.as_str(), name.as_str());
                options.key = env(variable).map(llm::Secret::new);
                Ok(Self::Endpoint(options))
            }
            (Some(url), None) => Err(Failure::usage(format!(
                "the model at {url} needs a name: give --model NAME, or `name` in [server.model]"
            ))),
            (None, Some(name)) => Err(Failure::usage(format!(
                "the model {name} needs an address: give --model-url URL, or `url` in [server.model]"
            ))),
        }
    }

    /// A digest of everything that a server of this choice and this configuration does; nothing can be
    /// read back from it.
    #[must_use]
    pub fn digest(&self, config: &ServerConfig) -> String {
        let key = match self {
            Self::Endpoint(options) => options.key.as_ref().map_or("", llm::Secret::expose),
            Self::Search | Self::Demo => "",
        };
        // `Debug` of the choice hides the key, so it is added.
        let text = format!(
            "{self:?}\n{key}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            config.limits,
            config.retention,
            config.idle_exit,
            config.data_dir,
            config.bots,
            config.datasets,
            config.skillsets
        );
        hex(&Sha256::digest(text.as_bytes())[..16])
    }

    /// The model, and a line that says which one it is.
    ///
    /// # Errors
    /// When the configured one cannot be used.
    pub async fn open(self) -> Result<(Arc<dyn Model>, String), Failure> {
        let (configured, candidates) = match self {
            Self::Demo => {
                return Ok((
                    Arc::new(Demo::default()),
                    "the built-in demo (no language model)".to_owned(),
                ));
            }
            Self::Endpoint(options) => (Some(options), Vec::new()),
            Self::Search => (None, probe::well_known()),
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
            ModelSource::Demo => "the built-in demo (no language model was found on this machine; name one with \
                                  --model-url and --model, or in [server.model])"
                .to_owned(),
        };
        Ok((model, said))
    }
}

/// Bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        url: Option<&str>,
        name: Option<&str>,
        demo: bool,
        config: &ModelConfig,
    ) -> Result<ModelChoice, Failure> {
        let args = ModelArgs {
            model_url: url.map(str::to_owned),
            model_name: name.map(str::to_owned),
            demo,
        };
        let env = |name: &str| match name {
            "SWITCHBOARD_MODEL_KEY" => Some("geheim".to_owned()),
            "OWN_KEY" => Some("own".to_owned()),
            _ => None,
        };
        ModelChoice::resolve(&args, env, config)
    }

    fn endpoint(choice: Result<ModelChoice, Failure>) -> (String, String, String) {
        match choice {
            Ok(ModelChoice::Endpoint(options)) => {
                let key = options.key.map_or_else(String::new, |key| key.expose().to_owned());
                (options.base_url, options.model, key)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_then_configuration_then_search() {
        let none = ModelConfig::default();
        let file = ModelConfig {
            url: Some("http://file/v1".into()),
            name: Some("file".into()),
            key_env: Some("OWN_KEY".into()),
            demo: false,
        };
        let demo = ModelConfig {
            demo: true,
            ..ModelConfig::default()
        };
        let triple = |url: &str, name: &str, key: &str| (url.to_owned(), name.to_owned(), key.to_owned());
        assert!(matches!(resolve(None, None, false, &none), Ok(ModelChoice::Search)));
        assert!(matches!(resolve(None, None, true, &file), Ok(ModelChoice::Demo)));
        assert!(matches!(resolve(None, None, false, &demo), Ok(ModelChoice::Demo)));
        assert_eq!(
            endpoint(resolve(None, None, false, &file)),
            triple("http://file/v1", "file", "own")
        );
        assert_eq!(
            endpoint(resolve(None, Some("n"), false, &file)),
            triple("http://file/v1", "n", "own")
        );
        assert_eq!(
            endpoint(resolve(Some("http://flag"), Some("n"), false, &file)),
            triple("http://flag", "n", "geheim")
        );
        assert!(resolve(Some("http://flag"), None, false, &file).is_err());
        assert!(resolve(None, Some("n"), false, &none).is_err());
    }

    #[test]
    fn the_digest_tells_configurations_apart_and_not_their_keys() {
        let config = ServerConfig::default();
        let mut options = ModelOptions::new("http://h/v1", "m");
        let without = ModelChoice::Endpoint(options.clone()).digest(&config);
        options.key = Some(llm::Secret::new("geheim"));
        let with = ModelChoice::Endpoint(options).digest(&config);
        assert_ne!(with, without);
        assert_ne!(ModelChoice::Demo.digest(&config), ModelChoice::Search.digest(&config));
        assert_eq!(
            ModelChoice::Demo.digest(&config),
            ModelChoice::Demo.digest(&config.clone())
        );
        assert!(!with.contains("geheim"));
    }
}
