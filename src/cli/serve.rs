//! Serving: `switchboard serve` for others, and the local server's own process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::context::{Context, env};
use super::exit::{Exit, Failure};
use super::model::{ModelChoice, hex};
use super::{abilities, logging, runtime_failure};
use crate::config::{AttachmentsConfig, Secret, ServerConfig};
use crate::engine::{Engine, EngineLimits};
use crate::fetch::{FetchOptions, Fetcher};
use crate::local::{Lock, Record};
use crate::server::{self, Account, AccountSecret, ServerOptions};
use crate::wire::request::Limits;

/// How often the local server tries to take its lock again, and how long it waits in between.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Serves the API until a signal ends it.
pub(super) fn serve(context: &Context, args: &ServeArgs) -> Result<Exit, Failure> {
    let common = &context.common;
    if common.url.is_some() || common.profile.is_some() || common.local {
        return Err(Failure::usage(
            "`serve` is a server of its own: it takes no --url, --profile or --local",
        ));
    }
    logging::to_standard_error("info");
    let config = &context.loaded.config.server;
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
    let data_dir = match args.data_dir.as_ref().or(config.data_dir.as_ref()) {
        Some(dir) => dir.clone(),
        None => context.places.data_dir().join("server"),
    };
    let _data = claim(&data_dir)?;
    let options = ServerOptions {
        accounts: secrets.iter().map(account).chain(named_accounts(config)).collect(),
        data_dir: Some(data_dir),
        config_digest: Some(model.digest(config)),
        ..options(config)
    };
    let address = args.listen.unwrap_or(config.listen);
    many_threads()?.block_on(async {
        let listener = listen(address).await?;
        let engine = engine(model, config).await?;
        say_address(&listener)?;
        serve_until_stopped(listener, options, engine).await
    })?;
    Ok(Exit::Done)
}

/// The local server's process: its own session, its own secret, its record, until it is idle or stopped.
pub(super) fn local_server(context: &Context) -> Result<Exit, Failure> {
    // It refuses only a process that leads its group already, as one started by hand does.
    let _ = rustix::process::setsid();
    logging::to_standard_error("info");
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
    let _data = claim(&data_dir)?;
    let options = ServerOptions {
        data_dir: Some(data_dir),
        accounts: vec![Account::with_secret("local", &secret)],
        config_digest: Some(digest.clone()),
        allow_stop: true,
        idle_exit: Some(config.idle_exit),
        ..options(config)
    };
    let outcome = many_threads()?.block_on(async {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let engine = engine(model, config).await?;
        let port = say_address(&listener)?.port();
        let record = Record {
            pid: std::process::id(),
            port,
            secret,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest,
        };
        files.write_record(&record).map_err(failed)?;
        serve_until_stopped(listener, options, engine).await
    });
    files.remove_record();
    outcome.map(|()| Exit::Done)
}

/// Makes sure that the data directory can be written, and is this server's alone.
fn claim(dir: &Path) -> Result<Lock, Failure> {
    let place = dir.display();
    match Lock::take(dir, "server.lock") {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Failure::usage(format!(
            "another server uses the data directory {place}; stop it, or choose another with --data-dir"
        ))),
        Err(error) => Err(Failure::usage(format!(
            "the data directory {place} cannot be written: {error}; choose another with --data-dir"
        ))),
    }
}

fn options(config: &ServerConfig) -> ServerOptions {
    ServerOptions {
        retention: config.retention.period,
        retention_events: usize::try_from(config.retention.events).unwrap_or(usize::MAX),
        runs_in_flight: usize::try_from(config.limits.runs).unwrap_or(usize::MAX),
        ..ServerOptions::default()
    }
}

/// The account of a secret. Its name is made from the secret, so that it stays the same when secrets are
/// added or change places, and gives nothing away.
fn account(secret: &Secret) -> Account {
    let digest = Sha256::digest([b"switchboard account ", secret.expose().as_bytes()].concat());
    Account::with_secret(format!("account-{}", hex(&digest[..8])), secret.expose())
}

/// The accounts that the configuration names.
fn named_accounts(config: &ServerConfig) -> impl Iterator<Item = Account> {
    config.accounts.iter().map(|(name, account)| Account {
        name: name.get_ref().clone(),
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

fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Other, format!("the system gives no random numbers: {error}")))?;
    Ok(hex(&bytes))
}

async fn engine(model: ModelChoice, config: &ServerConfig) -> Result<Engine, Failure> {
    let moderator = model.moderator()?;
    let catalog = abilities::catalog(config)?;
    let (model, said) = model.open().await?;
    eprintln!("switchboard: the model is {said}");
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

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program has this port; choose another with --listen",
            std::io::ErrorKind::PermissionDenied => "choose a port of 1024 or more with --listen",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose another with --listen",
            _ => "choose another address with --listen",
        };
        Failure::usage(format!("cannot listen on {address}: {error}; {advice}"))
    })
}

fn say_address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    let address = listener.local_addr().map_err(runtime_failure)?;
    eprintln!(
        "switchboard: version {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(address)
}

async fn serve_until_stopped(listener: TcpListener, options: ServerOptions, engine: Engine) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    server::serve(listener, options, Arc::new(engine), shutdown)
        .await
        .map_err(|error| Failure::new(Exit::Other, error.to_string()))
}

/// Ends the server on the signals that ask a process to end.
fn stop_on_signals(shutdown: &CancellationToken) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt()];
    // Listening would undo what `nohup` did.
    if !ignores_hangup() {
        kinds.push(SignalKind::hangup());
    }
    for kind in kinds {
        let mut signals = signal(kind).map_err(runtime_failure)?;
        let shutdown = shutdown.clone();
        // The task ends with the runtime at the latest.
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                tracing::info!("a signal asks the server to stop");
                shutdown.cancel();
            }
        });
    }
    Ok(())
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
