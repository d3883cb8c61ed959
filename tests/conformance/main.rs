//! The conformance table: for every rule of PROTOCOL.md a request, its answer, and the events that follow, against the
//! real server over real sockets with a scripted model behind it.
//!
//! The cases stand in the JSON files beside this one; `README.md` there says how they are read. Each is run under both
//! prefixes, against a server of its own. Whatever a case looks at besides, every answer has to be ASCII, of the form that
//! its content type says, and every refusal has to have a known code with that code's status.

mod case;
mod model;
mod pattern;
mod runner;

use std::path::Path;

use case::Case;

async fn check(file: &str) {
    // The client speaks plain HTTP here, but is built with TLS. An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance")
        .join(file);
    let text = std::fs::read_to_string(&path).expect("the file of cases");
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(!cases.is_empty(), "{file} has no cases");
    let mut faults = Vec::new();
    for case in &cases {
        for prefix in ["/v1", "/api/v1"] {
            if let Err(fault) = runner::run(case, prefix).await {
                faults.push(format!("{file}: {} [{prefix}]\n    {fault}", case.rule));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

macro_rules! tables {
    ($($name:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            check(concat!(stringify!($name), ".json")).await;
        })*

        /// A file of cases that no test reads would assert nothing.
        #[test]
        fn every_file_of_cases_is_read() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
            let read = [$(concat!(stringify!($name), ".json")),*];
            for entry in std::fs::read_dir(folder).expect("the folder") {
                let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
                assert!(!name.ends_with(".json") || read.contains(&name.as_str()), "{name}");
            }
        }
    };
}

tables! {
    access,
    formats,
    dispatch,
    complete,
    fields,
    channel,
    events,
    functions,
    limits,
    additions,
}
