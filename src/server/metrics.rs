//! The metrics: what every part counts, and what the process takes, in the text form that Prometheus reads.
//!
//! Counting is the parts' own business (`measure`); here is the one place that knows all their instruments. What can
//! be asked for is asked when somebody looks, not counted all the time. No label names an account, a channel or a
//! person.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::accept::Connections;
use crate::hub::Hub;
use crate::measure::{HttpMeters, ModelMeters, RunMeters};
use crate::wire::request::RunStatus;

/// What the answer's form is called.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every instrument of a server.
pub(super) struct Metrics {
    registry: Registry,
    pub(super) http: HttpMeters,
    pub(super) runs: RunMeters,
}

impl Metrics {
    pub(super) fn new(
        hub: Arc<dyn Hub>,
        connections: Connections,
        http: HttpMeters,
        models: Option<ModelMeters>,
    ) -> Self {
        let runs = RunMeters::default();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let own = registry.sub_registry_with_prefix("switchboard");
        own.register(
            "build",
            "The version of the server",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        register_hub(own, &hub);
        own.register("http_requests", "Requests that were answered", http.requests.clone());
        own.register_with_unit(
            "http_request_duration",
            "The time until the head of the answer",
            Unit::Seconds,
            http.seconds.clone(),
        );
        own.register("subscribers", "Subscriptions that are open", http.subscribers.clone());
        own.register("runs_dispatched", "Runs that were taken", runs.dispatched.clone());
        own.register("runs_ended", "Runs that ended, by how", runs.ended.clone());
        if let Some(models) = models {
            register_models(own, &models);
        }
        own.register_collector(Box::new(Asked { hub, connections }));
        Self { registry, http, runs }
    }

    /// Everything as text.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn register_hub(own: &mut Registry, hub: &Arc<dyn Hub>) {
    let hub = hub.meters();
    own.register("events", "Events of runs that were committed", hub.events);
    own.register("published", "Messages that were published", hub.published);
    own.register("deliveries", "Hand-overs of lines to readers", hub.deliveries);
    own.register_with_unit(
        "delivered",
        "What was handed to readers",
        Unit::Bytes,
        hub.delivered_bytes,
    );
    own.register(
        "reader_overruns",
        "Readers that were given up because they were too slow",
        hub.overruns,
    );
    own.register_with_unit(
        "commit_duration",
        "How long commits took",
        Unit::Seconds,
        hub.commit_seconds,
    );
    own.register("commit_events", "Events in a commit", hub.commit_events);
    own.register("commits_refused", "Commits that the store refused", hub.refused_commits);
}

fn register_models(own: &mut Registry, models: &ModelMeters) {
    let models = models.clone();
    own.register("model_calls", "Model calls that began", models.calls);
    own.register(
        "model_calls_in_flight",
        "Model calls that are going on",
        models.in_flight,
    );
    own.register(
        "model_errors",
        "Model calls that ended with an error, by its kind",
        models.errors,
    );
    own.register(
        "model_retries",
        "Requests to models that were made again",
        models.retries,
    );
    own.register_with_unit(
        "model_first_piece",
        "The time until a model's answer began",
        Unit::Seconds,
        models.first_piece_seconds,
    );
    own.register_with_unit(
        "model_call_duration",
        "How long model calls took",
        Unit::Seconds,
        models.seconds,
    );
    own.register("model_input_tokens", "Tokens that models read", models.input_tokens);
    own.register("model_output_tokens", "Tokens that models wrote", models.output_tokens);
}

/// What is asked for when somebody looks.
struct Asked {
    hub: Arc<dyn Hub>,
    connections: Connections,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

impl Collector for Asked {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        gauge(
            &mut encoder,
            "connections",
            "Connections that are open",
            None,
            self.connections.count() as u64,
        )?;
        let accepted = ConstCounter::new(self.connections.accepted());
        let help = "Connections that were accepted";
        accepted.encode(encoder.encode_descriptor("connections_accepted", help, None, MetricType::Counter)?)?;
        let turned_away = ConstCounter::new(self.connections.turned_away());
        let help = "Connections for which there was no place";
        turned_away.encode(encoder.encode_descriptor("connections_turned_away", help, None, MetricType::Counter)?)?;
        let stalled = ConstCounter::new(self.connections.stalled().get());
        let help = "Connections that were cut because too little was taken of what waited";
        stalled.encode(encoder.encode_descriptor("connections_stalled", help, None, MetricType::Counter)?)?;
        let help = "Appends of runs that wait for a commit";
        gauge(&mut encoder, "commit_queue", help, None, self.hub.queued() as u64)?;
        let help = "Orders of unfinished runs and retained events, in memory";
        let held = self.hub.held().bytes();
        gauge(&mut encoder, "held", help, Some(&Unit::Bytes), held)?;
        if let Some(bytes) = self.hub.stored_bytes() {
            gauge(
                &mut encoder,
                "store",
                "What the store takes on disk",
                Some(&Unit::Bytes),
                bytes,
            )?;
        }
        let counts = self.hub.counts();
        let help = "Runs that are kept, by where they stand; the queued ones wait for a place";
        let mut runs = encoder.encode_descriptor("runs", help, None, MetricType::Gauge)?;
        for status in RunStatus::ALL {
            let count = ConstGauge::new(i64::try_from(counts.of(status)).unwrap_or(i64::MAX));
            count.encode(runs.encode_family(&[("status", status.as_str())])?)?;
        }
        Ok(())
    }
}

/// What the process takes, as far as the system tells (Linux). The names are those that Prometheus' own clients use.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(now) = read_process() else { return Ok(()) };
        let cpu = ConstCounter::new(now.cpu_seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            "Processor time",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?)?;
        let bytes = Some(&Unit::Bytes);
        gauge(&mut encoder, "process_resident_memory", "Memory", bytes, now.resident)?;
        gauge(
            &mut encoder,
            "process_virtual_memory",
            "Address space",
            bytes,
            now.virtual_,
        )?;
        gauge(&mut encoder, "process_threads", "Threads", None, now.threads)?;
        gauge(&mut encoder, "process_open_fds", "Open files", None, now.open_files)?;
        gauge(
            &mut encoder,
            "process_max_fds",
            "The limit of open files",
            None,
            now.most_files,
        )
    }
}

struct Now {
    cpu_seconds: f64,
    resident: u64,
    virtual_: u64,
    threads: u64,
    open_files: u64,
    most_files: u64,
}

fn read_process() -> Option<Now> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything; what follows its bracket are numbers (proc_pid_stat(5), from the third field on).
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |number: usize| {
        fields
            .split(' ')
            .nth(number - 3)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Some(Now {
        cpu_seconds: (field(14)? + field(15)?) as f64 / ticks as f64,
        resident: field(24)? * rustix::param::page_size() as u64,
        virtual_: field(23)?,
        threads: field(20)?,
        open_files: std::fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        most_files: files.current.unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read() {
        let now = read_process().expect("this is Linux");
        assert!(
            now.resident > 1 << 20 && now.virtual_ >= now.resident,
            "{}",
            now.resident
        );
        assert!(now.threads >= 1 && now.open_files >= 3 && now.most_files >= now.open_files);
    }
}
