//! Real commands: what they give, how they fail, and that nothing of them is left.

use std::time::Instant;

use serde_json::json;

use super::*;

fn sh(script: &str) -> FunctionConfig {
    FunctionConfig {
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        timeout: Duration::from_secs(20),
        ..FunctionConfig::default()
    }
}

async fn answer(function: &FunctionConfig, arguments: Value) -> Result<Value, Failure> {
    run(function, &arguments, &CancellationToken::new()).await
}

fn is_alive(pid: &str) -> bool {
    // A zombie that nobody has waited for yet is not alive.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

#[tokio::test]
async fn commands_give_json_or_text_or_say_what_went_wrong() {
    let fails = |text: &str| Err(Failure::Failed(text.to_owned()));
    let table = [
        ("cat", json!({"env": "prod"}), Ok(json!({"env": "prod"}))),
        ("echo '[1, 2]'", json!({}), Ok(json!([1, 2]))),
        ("echo not json; echo two", json!({}), Ok(json!("not json\ntwo"))),
        ("true", json!({}), Ok(json!(""))),
        ("printf '\\377'", json!({}), Ok(json!("\u{fffd}"))),
        ("exit 3", json!({}), fails("/bin/sh exited with 3")),
        (
            "echo out; echo one >&2; printf 'tw\\033[31mo\\n' >&2; exit 1",
            json!({}),
            fails("/bin/sh exited with 1: one / tw^[[31mo"),
        ),
        ("kill -9 $$", json!({}), fails("/bin/sh was ended by signal 9")),
        // It neither reads nor closes its standard input.
        ("echo done", json!({"long": "x".repeat(1 << 20)}), Ok(json!("done"))),
    ];
    for (script, arguments, expected) in table {
        assert_eq!(answer(&sh(script), arguments).await, expected, "{script}");
    }
    let missing = FunctionConfig {
        command: vec!["/nowhere/at-all".into()],
        ..FunctionConfig::default()
    };
    assert_eq!(
        answer(&missing, json!({})).await,
        fails("/nowhere/at-all cannot be run: there is no such file")
    );
}

#[tokio::test]
async fn the_command_has_its_directory_and_a_small_environment() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("here"), "found").expect("a file");
    let mut function = sh("cat here; echo; env | cut -d= -f1 | sort | tr '\\n' ' '");
    function.cwd = Some(folder.path().to_path_buf());
    function.env = toml::from_str::<FunctionConfig>("env = { REGION = \"eu\" }")
        .expect("a function")
        .env;
    let text = answer(&function, json!({})).await.expect("a result");
    let text = text.as_str().expect("a text");
    assert!(
        text.starts_with("found\n") && text.contains("REGION") && text.contains("PATH"),
        "{text}"
    );
    let all = [
        "SWITCHBOARD_TOKEN",
        "SWITCHBOARD_SECRET",
        "CARGO_PKG_NAME",
        "OPENAI_API_KEY",
        "PATH",
        "LC_ALL",
    ];
    let kept: Vec<_> = inherited(all.iter().map(|name| (std::ffi::OsString::from(name), ()))).collect();
    assert_eq!(kept.len(), 2);
    assert!(!text.contains("CARGO"), "{text}");
}

#[tokio::test]
async fn too_much_output_and_too_long_a_run_end_it() {
    let mut function = sh("while :; do echo 0123456789012345678901234567890123456789; done");
    function.max_output = 64 << 10;
    let error = answer(&function, json!({})).await;
    assert_eq!(
        error,
        Err(Failure::Failed("/bin/sh wrote more than 64 KiB and was stopped".into()))
    );

    let mut function = sh("echo began >&2; sleep 60");
    function.timeout = Duration::from_millis(300);
    let began = Instant::now();
    let error = answer(&function, json!({})).await;
    assert_eq!(
        error,
        Err(Failure::Failed(
            "/bin/sh took longer than 300ms and was stopped: began".into()
        ))
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn grandchildren_die_with_the_command() {
    let folder = tempfile::tempdir().expect("a directory");
    let pids = folder.path().join("pids");
    let stubborn = |then: &str| {
        let at = pids.display();
        // One that ends when asked, one that has to be killed.
        sh(&format!(
            "sleep 60 & echo $! > {at}; (trap '' TERM; while :; do sleep 1; done) & echo $! >> {at}; {then}"
        ))
    };
    let check = |when: &str| {
        let text = std::fs::read_to_string(&pids).expect("the pids");
        assert_eq!(text.lines().count(), 2, "{text}");
        // A kill takes effect a moment after it was sent.
        let until = Instant::now() + Duration::from_secs(5);
        while text.lines().any(is_alive) {
            assert!(Instant::now() < until, "{text} lives {when}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut function = stubborn("wait");
    function.timeout = Duration::from_millis(300);
    assert!(matches!(answer(&function, json!({})).await, Err(Failure::Failed(_))));
    check("after the time was over");

    assert_eq!(answer(&stubborn("echo ok"), json!({})).await, Ok(json!("ok")));
    check("after the command ended");

    let cancel = CancellationToken::new();
    let function = stubborn("wait");
    let arguments = json!({});
    std::fs::remove_file(&pids).expect("the file of the run before");
    let running = run(&function, &arguments, &cancel);
    let written = || std::fs::read_to_string(&pids).is_ok_and(|text| text.lines().count() == 2);
    let stop = async {
        while !written() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(running, stop);
    assert_eq!(ended, Err(Failure::Stopped));
    check("after it was cancelled");

    // The program ends: the future is dropped.
    std::fs::remove_file(&pids).expect("the file of the run before");
    tokio::select! {
        _ = answer(&function, json!({})) => panic!("it waits"),
        () = async { while !written() { tokio::time::sleep(Duration::from_millis(10)).await; } } => {}
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    check("after its owner was dropped");
}
