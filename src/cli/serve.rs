//! Serving: `switchboard serve` for others, and the local server's own process.

use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::context::{Context, env};
use super::exit::{Exit, Failure};
use super::model::{ModelChoice, hex};
use super::{abilities, logging, runtime_failure};
use crate::config::{AttachmentsConfig, HttpConfig, LogConfig, LogFormat, Secret, ServerConfig};
use crate::engine::{Engine, EngineLimits};
use crate::fetch::{FetchOptions, Fetcher};
use crate::llm::Measured;
use crate::local::{Lock, Record};
use crate::measure::ModelMeters;
use crate::server::{self, Account, AccountSecret, Rate, ServerOptions, Tls, TlsFiles};
use crate::wire::request::Limits;
use crate::wire::{SecretHash, access};

/// How many connections wait to be accepted: after a restart all readers come back at once.
const BACKLOG: u32 = 4096;
/// How many seconds' worth of requests may come at once when the configuration does not say.
const USUAL_BURST: u64 = 10;
/// How often the local server tries to take its lock again, and how long it waits in between.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How long the local server's clients have to take the ends of their streams: whoever stops it waits.
const LOCAL_GRACE: Duration = Duration::from_secs(1);

/// Serves the API until a signal ends it.
pub(super) fn serve(context: &Context, args: &ServeArgs) -> Result<Exit, Failure> {
    let common = &context.common;
    if common.url.is_some() || common.profile.is_some() || common.local {
        return Err(Failure::usage(
            "`serve` is a server of its own: it takes no --url, --profile or --local",
        ));
    }
    let config = &context.loaded.config.server;
    let log = LogConfig {
        level: args.log_level.unwrap_or(config.log.level),
        format: args.log_format.unwrap_or(config.log.format),
    };
    logging::of_server(log);
    let voice = Voice(log.format);
    let mut secrets = env("SWITCHBOARD_SECRET")
        .as_deref()
        .map(Secret::list)
        .unwrap_or_default();
    if secrets.is_empty() {
        secrets.clone_from(&config.secrets);
    }
    if secrets.is_empty() && config.accounts.is_empty() {
        return Err(Failure::usage(
            "no secret is set, so nobody could use this server; put one into SWITCHBOARD_SECRET (several are \
             separated by commas), or its hash into [server.accounts.NAME] of the configuration (`switchboard server \
             hash-secret --new` makes both)",
        ));
    }
    if (1..secrets.len()).any(|at| secrets[..at].contains(&secrets[at])) {
        return Err(Failure::usage(
            "the same secret is given twice, and each is an account of its own; give it once",
        ));
    }
    let model = ModelChoice::resolve(&args.model, env, config)?;
    let tls = certificate(config)?;
    let encrypted = tls.is_some();
    if secrets
        .iter()
        .any(|secret| access::check_strength(secret.expose()).is_err())
    {
        voice.warn(
            "a secret can be guessed, over the network or by whoever reads the database; `switchboard server hash-secret \
             --new` makes one that cannot",
        );
    }
    let data_dir = match args.data_dir.as_ref().or(config.data_dir.as_ref()) {
        Some(dir) => dir.clone(),
        None => context.places.data_dir().join("server"),
    };
    let metrics = metrics_secret(config)?;
    if args.check {
        many_threads()?.block_on(engine(model, config, voice))?;
        println!("A server with this configuration would start.");
        return Ok(Exit::Done);
    }
    let _data = claim(&data_dir, "choose another with --data-dir")?;
    let accounts: Vec<Account> = (1..).zip(&secrets).map(account).chain(named_accounts(config)).collect();
    say_accounts(&accounts, voice);
    let options = ServerOptions {
        tls,
        cors: origins(config),
        accounts,
        data_dir: Some(data_dir),
        config_digest: Some(model.digest(config)),
        metrics,
        ..options(config)
    };
    let address = args.listen.unwrap_or(config.listen);
    many_threads()?.block_on(async {
        // Before anybody is told that it is there, and may end it.
        let shutdown = stop_on_signals()?;
        let listener = listen(address)?;
        let engine = engine(model, config, voice).await?;
        let address = say_address(&listener, if encrypted { "https" } else { "http" }, voice)?;
        if !encrypted && !address.ip().is_loopback() {
            voice.warn(
                "it listens beyond this machine without TLS, so that secrets can be read on the way; give it a \
                 certificate ([server.tls] in the configuration), or put a proxy that speaks TLS in front",
            );
        }
        serve_until_stopped(listener, options, engine, shutdown).await
    })?;
    Ok(Exit::Done)
}

/// The local server's process: its own session, its own secret, its record, until it is idle or stopped.
pub(super) fn local_server(context: &Context) -> Result<Exit, Failure> {
    // It refuses only a process that leads its group already, as one started by hand does.
    let _ = rustix::process::setsid();
    logging::of_server(context.loaded.config.server.log);
    let voice = Voice(context.loaded.config.server.log.format);
    let files = context.local_files();
    let failed = |error: std::io::Error| {
        let dir = files.dir().display();
        Failure::new(
            Exit::Other,
            format!("the local server's files in {dir} cannot be used: {error}"),
        )
    };
    let mut lock = files.lock_server().map_err(failed)?;
    // Whoever looks whether a server lives takes the lock for a moment.
    for _ in 0..LOCK_TRIES {
        if lock.is_some() {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        lock = files.lock_server().map_err(failed)?;
    }
    let Some(_lock) = lock else {
        eprintln!("switchboard: another local server runs already");
        return Ok(Exit::Done);
    };
    let config = &context.loaded.config.server;
    let model = context.local_model()?;
    let digest = model.digest(config);
    let secret = new_secret()?;
    // A directory of its own, so that it and `serve` never meet.
    let data_dir = context.places.data_dir().join("local");
    let _data = claim(&data_dir, "check its owner and its free space")?;
    let options = ServerOptions {
        data_dir: Some(data_dir),
        accounts: vec![Account::with_secret("local", &secret)],
        config_digest: Some(digest.clone()),
        allow_stop: true,
        idle_exit: Some(config.idle_exit),
        shutdown_grace: LOCAL_GRACE,
        ..options(config)
    };
    let outcome = many_threads()?.block_on(async {
        let shutdown = stop_on_signals()?;
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let engine = engine(model, config, voice).await?;
        let port = say_address(&listener, "http", voice)?.port();
        let record = Record {
            pid: std::process::id(),
            port,
            secret,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest,
        };
        files.write_record(&record).map_err(failed)?;
        serve_until_stopped(listener, options, engine, shutdown).await
    });
    files.remove_record();
    outcome.map(|()| Exit::Done)
}

/// Makes sure that the data directory can be written, and is this server's alone.
fn claim(dir: &Path, advice: &str) -> Result<Lock, Failure> {
    let place = dir.display();
    match Lock::take(dir, "server.lock") {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Failure::usage(format!(
            "another server uses the data directory {place}; stop it, or {advice}"
        ))),
        Err(error) => Err(Failure::usage(format!(
            "the data directory {place} cannot be written: {error}; {advice}"
        ))),
    }
}

fn options(config: &ServerConfig) -> ServerOptions {
    let http = &config.http;
    let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
    ServerOptions {
        retention: config.retention.period,
        retention_events: number(config.retention.events),
        runs_in_flight: number(config.limits.runs),
        live_runs: number(config.limits.runs.saturating_add(config.limits.queue)),
        memory: config.limits.memory,
        body_limit: number(http.max_body),
        head_limit: number(http.max_head),
        headers: number(http.max_headers),
        header_timeout: http.head_timeout,
        body_timeout: http.body_timeout,
        connections: number(http.connections),
        reader_timeout: http.reader_timeout,
        reader_backlog: number(http.reader_backlog),
        rate: rate(http),
        ..ServerOptions::default()
    }
}

/// How many requests an account may make.
fn rate(http: &HttpConfig) -> Option<Rate> {
    let number = |number| NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX));
    let per_second = http.requests_per_second?;
    Some(Rate {
        per_second: number(per_second)?,
        burst: number(http.burst.unwrap_or(per_second.saturating_mul(USUAL_BURST)))?,
    })
}

/// The certificate that the configuration names.
fn certificate(config: &ServerConfig) -> Result<Option<Arc<Tls>>, Failure> {
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
    };
    let tls = Tls::open(files).map_err(|error| Failure::usage(format!("[server.tls]: {error}")))?;
    Ok(Some(Arc::new(tls)))
}

/// The origins of web pages that may call the API.
fn origins(config: &ServerConfig) -> Vec<HeaderValue> {
    let origins = config.cors.origins.iter();
    origins
        .filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok())
        .collect()
}

/// How a server says what it does at its start: in sentences, or in the form of its log, which programs read.
#[derive(Clone, Copy)]
struct Voice(LogFormat);

impl Voice {
    fn say(self, text: &str) {
        match self.0 {
            LogFormat::Text => eprintln!("switchboard: {text}"),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }

    fn warn(self, text: &str) {
        match self.0 {
            LogFormat::Text => eprintln!("switchboard: warning: {text}"),
            LogFormat::Json => tracing::warn!("{text}"),
        }
    }
}

/// Says which accounts there are, and how many secrets each has: one that was left in the environment is seen.
fn say_accounts(accounts: &[Account], voice: Voice) {
    let accounts: Vec<String> = accounts
        .iter()
        .map(|account| {
            let name = account.shown.as_ref().unwrap_or(&account.name);
            let secrets = account.secrets.len();
            format!("{name} ({secrets} secret{})", if secrets == 1 { "" } else { "s" })
        })
        .collect();
    voice.say(&format!("accounts: {}", accounts.join(", ")));
}

/// The account of a secret. Its name is made from the secret, so that it stays the same when secrets are added or change
/// places. Whoever has the name can try secrets that people make up, so it stands in the database and nowhere else: logs
/// call the account by its place among the secrets.
fn account((number, secret): (usize, &Secret)) -> Account {
    let digest = Sha256::digest([b"switchboard account ", secret.expose().as_bytes()].concat());
    Account::with_secret(format!("account-{}", hex(&digest[..8])), secret.expose())
        .shown_as(format!("account-{number}"))
}

/// The accounts that the configuration names.
fn named_accounts(config: &ServerConfig) -> impl Iterator<Item = Account> {
    config.accounts.iter().map(|(name, account)| Account {
        name: name.get_ref().clone(),
        shown: None,
        secrets: account
            .secrets
            .iter()
            .map(|secret| AccountSecret {
                hash: *secret.hash.get_ref(),
                scope: secret.scope,
            })
            .collect(),
    })
}

/// What is kept of the secret of the metrics; none when nobody may read them.
fn metrics_secret(config: &ServerConfig) -> Result<Option<SecretHash>, Failure> {
    let Some(name) = &config.metrics.secret_env else {
        return Ok(config.metrics.hash);
    };
    match env(name) {
        // As it is read from a request.
        Some(secret) => Ok(Some(SecretHash::of(secret.trim().as_bytes()))),
        None => Err(Failure::usage(format!(
            "the environment variable {name} is not set, and [server.metrics] expects the secret of the metrics in it"
        ))),
    }
}

fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Other, format!("the system gives no random numbers: {error}")))?;
    Ok(hex(&bytes))
}

async fn engine(model: ModelChoice, config: &ServerConfig, voice: Voice) -> Result<Engine, Failure> {
    let moderator = model.moderator()?;
    let catalog = abilities::catalog(config)?;
    let (model, said) = model.open().await?;
    voice.say(&format!("the model is {said}"));
    let limits = EngineLimits {
        max_iterations: config.limits.iterations,
        max_calls: config.limits.calls,
        max_continuations: config.limits.continuations,
        defaults: Limits {
            iterations: config.limits.default_iterations,
            calls: config.limits.default_calls,
            continuations: config.limits.default_continuations,
        },
        wait: config.limits.wait,
        run: config.limits.run,
        ..EngineLimits::default()
    };
    let model = Arc::new(Measured::new(model, ModelMeters::default()));
    let engine = Engine::new(model, limits)
        .with_moderator(moderator)
        .with_catalog(catalog)
        .with_fetcher(fetcher(&config.attachments));
    abilities::check(config, &engine)?;
    Ok(engine)
}

/// What fetches attachments, unless the configuration wants none.
fn fetcher(config: &AttachmentsConfig) -> Option<Fetcher> {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let options = FetchOptions {
        count: number(config.count),
        size: number(config.size),
        total: number(config.total),
        text: number(config.text),
        timeout: config.timeout,
        redirects: config.redirects.into(),
        ports: config.ports.clone(),
        allow: config.allow.clone(),
        ..FetchOptions::default()
    };
    config.enabled.then(|| Fetcher::new(options))
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A server that starts anew takes its port back from connections that are still ending.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program has this port; choose another with --listen",
            std::io::ErrorKind::PermissionDenied => "choose a port of 1024 or more with --listen",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose another with --listen",
            _ => "choose another address with --listen",
        };
        Failure::usage(format!("cannot listen on {address}: {error}; {advice}"))
    })
}

fn say_address(listener: &TcpListener, scheme: &str, voice: Voice) -> Result<SocketAddr, Failure> {
    let address = listener.local_addr().map_err(runtime_failure)?;
    voice.say(&format!(
        "version {} listens on {scheme}://{address}",
        env!("CARGO_PKG_VERSION")
    ));
    Ok(address)
}

async fn serve_until_stopped(
    listener: TcpListener,
    options: ServerOptions,
    engine: Engine,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    server::serve(listener, options, Arc::new(engine), shutdown)
        .await
        .map_err(|error| Failure::new(Exit::Other, error.to_string()))
}

/// What the signals that ask a process to end cancel. Others that would end it are caught.
fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let shutdown = CancellationToken::new();
    outlive_full_files()?;
    let mut kinds = vec![
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::interrupt(), "SIGINT"),
    ];
    // Listening would undo what `nohup` did.
    if !ignores_hangup() {
        kinds.push((SignalKind::hangup(), "SIGHUP"));
    }
    // A terminal that is closed takes its programs along. For a service the same signal means to read its files again.
    let has_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    for (kind, name) in kinds {
        let mut signals = signal(kind).map_err(runtime_failure)?;
        let shutdown = shutdown.clone();
        // The task ends with the runtime at the latest.
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if name == "SIGHUP" && !has_terminal {
                    tracing::info!(
                        "SIGHUP changes nothing: certificates are read again within 30 seconds when they change, and the \
                         configuration when the server is restarted"
                    );
                    continue;
                }
                tracing::info!(signal = name, "a signal asks the server to stop");
                shutdown.cancel();
            }
        });
    }
    Ok(shutdown)
}

/// A file that has reached the process's limit (`ulimit -f`) is a write that fails, which the store knows how to take,
/// and not the end of the process.
fn outlive_full_files() -> Result<(), Failure> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // Listening once is enough: the signal stays caught.
    signal(kind).map(drop).map_err(runtime_failure)
}

/// Whether this process was started with hangups ignored. Known on Linux alone.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 != 0))
}

fn many_threads() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(runtime_failure)
}
