//! The configuration file: the example is complete and says the defaults, and every kind of mistake
//! is refused with file, line, column and what was expected.

use std::path::Path;

use switchboard::config::{self, Config, ConfigError, Places};

const EXAMPLE: &str = include_str!("../config.example.toml");

fn problem(text: &str) -> String {
    match Config::parse(Path::new("/etc/switchboard.toml"), text) {
        Err(error) => error.to_string(),
        Ok(config) => panic!("accepted: {config:?}"),
    }
}

#[test]
fn the_example_says_the_defaults() {
    let config = Config::parse(Path::new("config.example.toml"), EXAMPLE).expect("the example is good");
    assert_eq!(config, Config::default());
}

#[test]
fn the_example_shows_every_key_and_what_is_commented_out_is_good_too() {
    // A commented key or section looks like `# key = …` or `# [section]`; everything else is prose.
    let uncommented: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("demo = "))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let config = Config::parse(Path::new("config.example.toml"), &uncommented).expect("its comments are good");
    assert_eq!(config.profile_name(), Some("team"));
    assert!(config.profiles["hosted"].hosted);
    assert_eq!(config.profiles["team"].token_env.as_deref(), Some("TEAM_TOKEN"));
    assert!(config.server.data_dir.is_some());
    let model = &config.server.model;
    assert!(model.url.is_some() && model.name.is_some() && model.key_env.is_some());
    assert_eq!(config.server.models["openai"].models, ["gpt-*", "o3"]);

    // The known keys, as the refusal of an unknown one lists them, all stand in the example.
    for section in [
        "",
        "[profiles.x]",
        "[server]",
        "[server.accounts.x]",
        "[server.model]",
        "[server.models.x]",
        "[server.moderation]",
        "[server.limits]",
        "[server.http]",
        "[server.tls]",
        "[server.cors]",
        "[server.retention]",
        "[server.log]",
        "[server.metrics]",
        "[server.attachments]",
        "[server.bots.x]",
        "[server.bots.x.limits]",
        "[[server.bots.x.functions]]",
        "[server.datasets.x]",
        "[server.skillsets.x]",
        "[[server.skillsets.x.abilities]]",
        "[ui]",
        "[presets.x]",
        "[presets.x.limits]",
        "[notifications]",
        "[kiosk]",
        "[lobby]",
        "[functions.x]",
    ] {
        let message = problem(&format!("{section}\nqqqqqqqqqqqqqqq = 1"));
        let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        assert!(!keys.is_empty(), "{message}");
        for key in keys {
            let shown = [
                format!("{key} = "),
                format!("[{key}."),
                format!(".{key}]"),
                format!(".{key}."),
                format!("[{key}]"),
            ];
            assert!(
                shown.iter().any(|form| EXAMPLE.contains(form.as_str())),
                "`{key}` of {section}"
            );
        }
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn every_kind_of_mistake_is_refused_with_its_place() {
    let table = [
        (
            "[server]\n  lisen = \"127.0.0.1:1\"",
            // The list grows with the server.
            ":2:3: unknown key `lisen`; did you mean `listen`? (expected one of `listen`, `data_dir`, …",
        ),
        (
            "colour = 1",
            ":1:1: unknown key `colour`, expected one of `profile`, `profiles`, `server`, `ui`, …",
        ),
        (
            "[ui]\ncolor = \"alwyas\"",
            ":2:9: unknown value `alwyas`; did you mean `always`? (expected one of `auto`, `always`, `never`)",
        ),
        (
            "[ui]\nascii = \"yes\"",
            ":2:9: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "[server]\nlisten = \"here\"",
            ":2:10: `here` is not an address to listen on, expected an IP address with a port, such as \"127.0.0.1:7280\"",
        ),
        (
            "[server]\ndata_dir = \"runs\"",
            ":2:12: `runs` is a relative path, expected one that begins with `/`",
        ),
        (
            "[server]\nidle_exit = \"5\"",
            ":2:13: `5` is not a time span, expected a number with a unit, such as \"30s\", \"15m\" or \"1h\"",
        ),
        (
            "[server.retention]\nperiod = \"0s\"",
            ":2:10: `0s` is not a time span, expected a number with a unit, such as \"30s\", \"15m\" or \"1h\"",
        ),
        (
            "[server.attachments]\nallow = [\"10.0.0.0\", \"10.0.0.0/33\"]",
            ":2:9: `10.0.0.0/33` is not a range of addresses, expected one such as \"10.0.0.0/8\", \"fd00::/8\" or \"127.0.0.1\"",
        ),
        (
            "[server.attachments]\nports = [80, 65536]",
            ":2:9: 65536 is not a port, expected a whole number from 1 to 65535",
        ),
        (
            "[server.attachments]\nsize = \"1GiB\"",
            ":2:8: `1GiB` is not a size, expected a number with a unit up to \"64MiB\", such as \"64KiB\" or \"1MiB\"",
        ),
        (
            "[server.limits]\n\niterations = 0",
            ":3:14: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.limits]\ncalls = -3",
            ":2:9: -3 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.http]\nmax_body = \"1GiB\"",
            ":2:12: `1GiB` is not a size, expected a number with a unit up to \"256MiB\", such as \"64KiB\" or \"1MiB\"",
        ),
        (
            "[server.http]\nmax_head = \"1KiB\"",
            ":2:12: `1KiB` is too small, expected \"4KiB\" or more",
        ),
        (
            "[server.http]\nconnections = 2000000",
            ":2:15: 2000000 is too large, expected 1000000 or fewer",
        ),
        (
            "[server.http]\nrequests_per_second = 0",
            ":2:23: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.http]\nreader_timeout = 30",
            ":2:18: invalid type: integer `30`, expected a string",
        ),
        (
            "[server.tls]\ncertificate = \"/a.pem\"",
            ":2:1: a certificate and its key go together, expected both `certificate` and `key`",
        ),
        (
            "[server.tls]\nkey = \"a.pem\"",
            ":2:7: `a.pem` is a relative path, expected one that begins with `/`",
        ),
        (
            "[server.cors]\norigins = [\"https://dash.example.com/\"]",
            ":2:11: `https://dash.example.com/` is not the origin of a web page, expected one such as \"https://dash.example.com\", in small letters and without a path, or \"*\"",
        ),
        (
            "[server.limits]\ncontinuations = 0",
            ":2:17: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.limits]\ndefault_calls = 0",
            ":2:17: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.limits]\ndefault_continuations = -1",
            ":2:25: -1 is too small, expected a whole number of 0 or more",
        ),
        (
            "[server.model]\nurl = \"localhost:1\"",
            ":2:7: `localhost:1` does not begin with http:// or https://, expected an address such as https://switchboard.example.com",
        ),
        (
            "[server.model]\nurl = \"http://h/v1\"\ndemo = true",
            ":3:1: `demo = true` and `url` exclude each other, expected one of them",
        ),
        (
            "[server.model]\nkey_env = \"sk-geheim\"",
            ":2:11: this is not the name of an environment variable, expected one such as \"TEAM_TOKEN\" (not the secret itself)",
        ),
        (
            "[server.model]\nretries = 21",
            ":2:11: 21 repetitions, expected a whole number from 0 to 20",
        ),
        (
            "[server.model]\nsilence = \"never\"",
            ":2:11: `never` is not a time span, expected a number with a unit, such as \"30s\", \"15m\" or \"1h\"",
        ),
        (
            "[server.models.big]\nmodels = [\"big-*\"]",
            ":1:16: upstream `big` has no address, expected `url = \"https://…\"`",
        ),
        (
            "[server.models.big]\nurl = \"http://h/v1\"",
            ":1:16: upstream `big` has no models, expected their names, such as `models = [\"gpt-*\"]`",
        ),
        (
            "[server.models.big]\nmodels = [\"a\", \" \"]",
            ":2:10: names of models are missing, expected some in which `*` stands for any characters, such as [\"gpt-*\"]",
        ),
        (
            "[server.moderation]\nkey_env = \"sk-geheim\"",
            ":2:11: this is not the name of an environment variable, expected one such as \"TEAM_TOKEN\" (not the secret itself)",
        ),
        (
            "# ü\nprofile = \"tema\"\n[profiles.team]\nhosted = true",
            ":2:11: there is no profile `tema`; did you mean `team`? (expected one of `team`)",
        ),
        (
            "\n[profiles.a]\ntoken_env = \"A\"",
            ":2:1: profile `a` names no server, expected `url = \"https://…\"` or `hosted = true`",
        ),
        (
            "[profiles.a]\nhosted = true\ntoken_env = \"A\"\ntoken = \"geheim\"",
            ":1:1: profile `a` has both `token` and `token_env`, expected one of them",
        ),
        (
            "[functions.f]\ncommand = [\"c\"]",
            ":1:12: function `f` has no description, expected `description = \"…\"`: what it does, for the model",
        ),
        (
            "[functions._f]\ndescription = \"d\"",
            ":1:12: `_f` is not a function's name, expected letters, digits, `$` and `_`, at most 64, beginning with a letter or `$`",
        ),
        (
            "[functions.f]\ndescription = \"d\"\npolicy = \"allow\"",
            ":1:12: function `f` has no command to allow, expected `command = [\"…\"]`, or another policy",
        ),
        (
            "[functions.f]\npolicy = \"alow\"",
            ":2:10: unknown value `alow`; did you mean `allow`? (expected one of `ask`, `allow`, `deny`)",
        ),
        (
            "[functions.f]\ncommand = \"./f --fast\"",
            ":2:11: no shell reads a command, expected the program and its arguments as a list, such as [\"./approve.sh\", \"--quick\"]",
        ),
        (
            "[functions.f]\ncommand = []",
            ":2:11: an empty command, expected the program and its arguments as a list, such as [\"./approve.sh\", \"--quick\"]",
        ),
        (
            "[functions.f]\ncwd = \"here\"",
            ":2:7: `here` is a relative path, expected one that begins with `/`",
        ),
        (
            "[functions.f]\nenv = { \"A=B\" = \"geheim\" }",
            ":2:7: this holds no name of an environment variable, expected one such as REGION",
        ),
        (
            "[functions.f]\ntimeout = \"soon\"",
            ":2:11: `soon` is not a time span, expected a number with a unit, such as \"30s\", \"15m\" or \"1h\"",
        ),
        (
            "[functions.f]\nmax_output = \"1GiB\"",
            ":2:14: `1GiB` is not a size, expected a number with a unit up to \"16MiB\", such as \"64KiB\" or \"1MiB\"",
        ),
        (
            "[functions.f]\nparameters = { type = \"array\" }",
            ":2:14: expected a JSON Schema whose `type` is \"object\"",
        ),
        (
            "[functions.f]\nresult = \"text\"",
            ":2:10: expected a JSON Schema as a table, such as { type = \"object\" }",
        ),
        (
            "device = \" \"",
            ":1:10: expected a name for this machine of 1 to 64 characters, such as \"laptop-2\"",
        ),
        (
            "default_preset = \"revue\"\n[presets.review]\n[presets.fast]",
            ":1:18: there is no preset `revue`; did you mean `review`? (expected one of `fast`, `review`)",
        ),
        (
            "default_preset = \"fast\"",
            ":1:18: there is no preset `fast`, expected a section [presets.fast]",
        ),
        (
            "[presets.\"a b\"]\nmodel = \"m\"",
            ":1:10: \"a b\" is no name of a preset, expected one without blanks, so that `/preset NAME` can be typed",
        ),
        (
            "[presets.a]\nmodel = \" \"",
            ":2:9: an empty text, expected one with something in it",
        ),
        (
            "[presets.a]\nmodle = \"m\"",
            ":2:1: unknown key `modle`; did you mean `model`? (expected one of `description`, `model`, `backstory`, `functions`, `limits`)",
        ),
        (
            "[presets.a.limits]\niterations = 0",
            ":2:14: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[server.bots.a]\ndatasets = [\"handbok\"]\n[server.datasets.handbook]\nrecords = [\"x\"]",
            ":2:13: there is no dataset `handbok`; did you mean `handbook`? (expected one of `handbook`)",
        ),
        (
            "[server.bots.a]\nskillsets = [\"writing\"]",
            ":2:14: there is no skillset `writing`, expected a section [server.skillsets.writing]",
        ),
        (
            "[server.bots.a]\nfeatures = [\"tim\"]",
            ":2:13: unknown value `tim`; did you mean `time`? (expected `time`)",
        ),
        (
            "[server.bots.a]\nmodel = \"\"",
            ":2:9: an empty text, expected one with something in it",
        ),
        (
            "[server.bots.\" \"]\nmodel = \"m\"",
            ":1:14: \" \" is no name of a bot, expected one that requests can give, such as \"support\"",
        ),
        (
            "[server.bots.a.limits]\ncalls = 0",
            ":2:9: 0 is too small, expected a whole number of 1 or more",
        ),
        (
            "[[server.bots.a.functions]]\ndescription = \"d\"",
            ":1:1: a function without a name, expected `name = \"…\"`",
        ),
        (
            "[[server.bots.a.functions]]\nname = \"a b\"",
            ":1:1: `a b` is not a function's name, expected letters, digits, `$` and `_`, at most 64, beginning with a letter or `$`",
        ),
        (
            "[server.bots.a]\nfunctions = [{ name = \"f\", description = \"d\" }, { name = \"f\", description = \"d\" }]",
            ":2:49: bot `a` has two functions `f`, expected one of each name",
        ),
        (
            "[[server.bots.a.functions]]\nname = \"f\"",
            ":1:1: function `f` has no description, expected `description = \"…\"`: what it does, for the model",
        ),
        (
            "[[server.bots.a.functions]]\nname = \"f\"\ndescription = \"d\"\nresult = {}",
            ":1:1: the result of function `f` comes from nowhere, expected `data = …` or `channel = \"…\"`, or no `result` at all",
        ),
        (
            "[[server.bots.a.functions]]\nname = \"f\"\nresult = { channel = \"geheim\" }",
            ":3:22: a channel id has at least 16 characters, this one has 6, expected the id of a channel, such as 24 random letters",
        ),
        (
            "[server.datasets.a]\ndescription = \"d\"",
            ":1:18: dataset `a` holds nothing, expected `records = […]` or `files = […]`",
        ),
        (
            "[server.datasets.a]\nrecords = [\"one\", \" \"]",
            ":2:11: an empty record, expected texts with something in them",
        ),
        (
            "[server.datasets.a]\nfiles = [\"a.md\"]",
            ":2:9: `a.md` is a relative path, expected one that begins with `/`",
        ),
        (
            "[server.datasets.a]\nfiles = [\"/a.pdf\"]",
            ":2:9: `/a.pdf` is no kind of file that is known, expected one that ends in .txt, .md, .markdown, .jsonl or .ndjson",
        ),
        (
            "[server.skillsets.a]",
            ":1:19: skillset `a` can do nothing, expected a section [[server.skillsets.a.abilities]]",
        ),
        (
            "[[server.skillsets.a.abilities]]\nname = \"n\"\ndescription = \"d\"",
            ":1:1: an ability of skillset `a` without instruction, expected `instruction = \"…\"`",
        ),
        (
            "[kiosk]\ntiles = \"many\"",
            ":2:9: `many` is no number of tiles, expected \"auto\", or columns and rows up to 12, such as \"3x2\"",
        ),
        (
            "[kiosk]\ntiles = \"0x2\"",
            ":2:9: `0x2` is no number of tiles, expected \"auto\", or columns and rows up to 12, such as \"3x2\"",
        ),
        (
            "[kiosk]\nmost = 2000",
            ":2:8: 2000 is too large, expected 1000 or fewer",
        ),
        (
            "[lobby]\nchannel = \"geheim\"",
            ":2:11: a channel id has at least 16 characters, this one has 6, expected the id of a channel that all who share the lobby know, such as 24 random letters",
        ),
        (
            "[lobby]\nchannel = \"0123456789abcdef\"\nchannel_env = \"TEAM_LOBBY\"",
            ":3:1: `channel` and `channel_env` exclude each other, expected one of them",
        ),
        (
            "[server.accounts.team]",
            ":1:18: account `team` has no secret, so nobody could use it, expected secrets = [{ hash = \"sha256:…\" }]",
        ),
        (
            "[server.accounts.\"a b\"]\nsecrets = []",
            ":1:18: \"a b\" is no name of an account, expected letters, digits, `-`, `_` and `.`, at most 64",
        ),
        (
            "[server.accounts.team]\nsecrets = [{ hash = \"geheim\" }]",
            ":2:21: this is not the hash of a secret, expected one such as \"sha256:…\" that `switchboard server hash-secret` prints",
        ),
        (
            "[server.accounts.team]\nsecrets = [{ scope = \"watch\" }]",
            ":2:12: missing field `hash`",
        ),
        (
            "[server.log]\nlevel = \"verbose\"",
            ":2:9: unknown value `verbose`, expected one of `error`, `warn`, `info`, `debug`, `trace`",
        ),
        (
            "[server.log]\nformat = \"jsn\"",
            ":2:10: unknown value `jsn`; did you mean `json`? (expected one of `text`, `json`)",
        ),
        (
            "[server.metrics]\nhash = \"geheim\"",
            ":2:8: this is not the hash of a secret, expected one such as \"sha256:…\" that `switchboard server hash-secret` prints",
        ),
        (
            "[server.accounts.team]\nsecrets = [{ scope = \"wacht\" }]",
            ":2:22: unknown value `wacht`; did you mean `watch`? (expected one of `full`, `watch`, `answer`)",
        ),
        (
            concat!(
                "[server.accounts.a]\nsecrets = [{ hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\" }]\n",
                "[server.accounts.b]\nsecrets = [{ hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\" }]",
            ),
            ":4:21: account `a` has this secret already, expected another one for each",
        ),
        (
            "[server]\nsecrets = \"geheim\"",
            ":2:11: a text, expected a list of secrets, such as [\"…\"]",
        ),
        (
            "[server]\nsecrets = [4711]",
            ":2:12: a number, expected a secret in quotes",
        ),
        (
            "[server]\nsecrets = [\"geheim\", \" \"]",
            ":2:22: an empty secret, expected a secret in quotes",
        ),
    ];
    // All of them at once: the places are told best side by side.
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let message = problem(text);
        let said = message.strip_prefix("/etc/switchboard.toml").expect("the file");
        // Where a list goes on, its beginning is enough.
        let is_expected = match expected.strip_suffix('…') {
            Some(start) => said.starts_with(start),
            None => said == expected,
        };
        if !is_expected {
            wrong.push(format!("{text}\n  is      {said}\n  and not {expected}"));
        }
        assert!(!message.contains("geheim") && !message.contains("4711"), "{message}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_its_place() {
    for schema in [
        "{ type = \"object\", properties = { a = { type = \"strin\" } } }",
        "{ type = \"object\", \"$ref\" = \"https://example.com/schema.json\" }",
        "{ type = \"object\", \"$ref\" = \"file:///etc/passwd\" }",
        "{ type = \"object\", properties = { a = { pattern = \"(\" } } }",
    ] {
        for key in ["parameters", "result"] {
            let message = problem(&format!("[functions.f]\n{key} = {schema}"));
            assert!(message.starts_with("/etc/switchboard.toml:2:"), "{message}");
            assert!(message.contains("not a usable JSON Schema"), "{message}");
        }
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_place() {
    for (text, place) in [
        ("[server", ":1:8: "),
        ("a = ", ":1:5: "),
        ("x = 1\nx = 2", ":2:1: "),
        ("a b = 1", ":1:3: "),
    ] {
        let message = problem(text);
        assert!(
            message.starts_with(&format!("/etc/switchboard.toml{place}")),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_missing_file_is_a_mistake_only_if_it_was_named() {
    let home = tempfile::tempdir().expect("a directory");
    let places = Places::under(home.path());
    let loaded = config::load(None, &places).expect("defaults");
    assert!(!loaded.found);
    assert_eq!(loaded.config, Config::default());

    let named = home.path().join("named.toml");
    let error = config::load(Some(&named), &places).expect_err("it is missing");
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(error.to_string().contains("named.toml"), "{error}");

    std::fs::write(&named, "[ui]\nascii = true\n").expect("a file");
    let loaded = config::load(Some(&named), &places).expect("it is good");
    assert!(loaded.found && loaded.config.ui.ascii);
}
