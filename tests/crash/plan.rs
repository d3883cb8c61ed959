//! What a round's runs are to do, drawn from a seed: their prompts, what the model says and calls, who answers.
//!
//! It starts nothing. The same seed gives the same plans.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

/// What the model's endpoint says that every one of its calls read.
pub const INPUT_TOKENS: u64 = 3;

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tells it from every other run; the first word of its prompt.
    pub name: String,
    /// What the person says.
    pub prompt: String,
    /// Somebody else's prompt for the same run on the same channel, sent at the same time: one of the two is taken.
    pub rival: Option<String>,
    /// Stands in every text of a private run, and nowhere else.
    pub secret: Option<String>,
    /// The channel that its caller names, if any.
    pub channel: Option<String>,
    /// How long after the round's begin it is dispatched.
    pub begins: Duration,
    /// Whether a dispatch that was not acknowledged is sent again.
    pub repeats: bool,
    /// How long the model takes for each piece.
    pub pace: Duration,
    /// What the model says, call by call.
    pub turns: Vec<Turn>,
    /// The functions of its request.
    pub functions: Vec<Value>,
    /// The channels on which answers are published, and how eagerly.
    pub answered: Vec<Answered>,
    /// When it is cancelled, after its dispatch was acknowledged.
    pub cancel: Option<Duration>,
}

/// One model call.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    pub reasoning: Vec<String>,
    pub text: Vec<String>,
    pub calls: Vec<Call>,
}

/// One function call of the model.
#[derive(Debug, Clone)]
pub struct Call {
    /// As the model says it; the same name may come in every turn.
    pub id: String,
    pub function: String,
    pub arguments: Value,
    pub source: Source,
}

/// Where its result comes from.
#[derive(Debug, Clone)]
pub enum Source {
    Known(Value),
    Channel(String),
}

/// A channel on which answers are published.
#[derive(Debug, Clone)]
pub struct Answered {
    pub channel: String,
    /// Published all the time, whether or not anything waits; else when a wait was shown.
    pub eager: bool,
    /// How many publish there at the same time.
    pub publishers: usize,
}

impl Turn {
    pub fn whole_text(&self) -> String {
        self.text.concat()
    }

    pub fn whole_reasoning(&self) -> String {
        self.reasoning.concat()
    }

    /// What the endpoint says that it wrote.
    pub fn output_tokens(&self) -> u64 {
        (self.reasoning.len() + self.text.len() + self.calls.len()) as u64
    }
}

impl Plan {
    /// The prompts with which it is dispatched.
    pub fn prompts(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.prompt).chain(&self.rival)
    }

    /// The body of its dispatch.
    pub fn body(&self) -> Value {
        self.body_with(&self.prompt)
    }

    /// The body of a dispatch with this prompt.
    pub fn body_with(&self, prompt: &str) -> Value {
        let mut body = json!({"messages": [{"type": "user", "text": prompt}]});
        if let Some(channel) = &self.channel {
            body["channelId"] = json!(channel);
        }
        if self.secret.is_some() {
            body["privacy"] = json!(true);
        }
        if !self.functions.is_empty() {
            body["functions"] = json!(self.functions);
        }
        body
    }

    /// A run without functions, of one answer.
    pub fn plain(name: &str, pieces: usize, pace: Duration) -> Self {
        let text = (0..pieces).map(|at| format!("{name} word{at} ")).collect();
        Self {
            name: name.to_owned(),
            prompt: format!("{name} open"),
            rival: None,
            secret: None,
            channel: Some(format!("{name}-channel-0123456789")),
            begins: Duration::ZERO,
            repeats: true,
            pace,
            turns: vec![Turn {
                text,
                ..Turn::default()
            }],
            functions: Vec::new(),
            answered: Vec::new(),
            cancel: None,
        }
    }

    /// The runs of a round.
    pub fn draw(rng: &mut Rng, count: usize) -> Vec<Self> {
        (0..count).map(|number| Self::one(rng, number)).collect()
    }

    fn one(rng: &mut Rng, number: usize) -> Self {
        let name = format!("run{number}x{:06x}", rng.u32(..0x100_0000));
        let private = rng.u8(..5) == 0;
        let secret = private.then(|| format!("hidden{:016x}", rng.u64(..)));
        // Channels of private runs are known to their callers: their titles are not kept.
        let own = private || rng.u8(..4) != 0;
        let mark = secret.clone().unwrap_or_else(|| "open".to_owned());
        let ask = |which: &str| format!("{name}-answers-{which}-{:016x}", number);
        let channels = [ask("first"), ask("second"), ask("shared")];
        let known = json!({"fact": format!("{name} known {mark}")});
        let function = |name: &str, result: Value| {
            json!({"name": name, "description": "As its name says",
                "parameters": {"type": "object", "properties": {"question": {"type": "string"}}}, "result": result})
        };
        let calls = rng.u8(..3) != 0;
        let functions = if calls {
            vec![
                function("known", json!({"data": known})),
                function("first", json!({"channel": channels[0]})),
                function("second", json!({"channel": channels[1]})),
                function("shared", json!({"channel": channels[2]})),
                function("shared_too", json!({"channel": channels[2]})),
            ]
        } else {
            Vec::new()
        };
        let source = |function: &str| match function {
            "known" => Source::Known(known.clone()),
            "first" => Source::Channel(channels[0].clone()),
            "second" => Source::Channel(channels[1].clone()),
            _ => Source::Channel(channels[2].clone()),
        };
        let same_ids = rng.bool();
        let rounds = if calls { rng.usize(1..4) } else { 0 };
        let long = rng.u8(..12) == 0;
        let mut turns: Vec<Turn> = Vec::new();
        for turn in 0..=rounds {
            let piece = |kind: &str, at: usize| format!("{name} {mark} {kind}{turn}.{at} ");
            let reasoning = if rng.bool() { rng.usize(1..8) } else { 0 };
            let last = turn == rounds;
            let text = match (last, long) {
                (true, true) => rng.usize(300..600),
                (true, false) => rng.usize(1..40),
                (false, _) => rng.usize(..6),
            };
            let mut said = Turn {
                reasoning: (0..reasoning).map(|at| piece("thought", at)).collect(),
                text: (0..text).map(|at| piece("word", at)).collect(),
                calls: Vec::new(),
            };
            if !last {
                for at in 0..rng.usize(1..4) {
                    let names = ["known", "first", "second", "shared", "shared_too"];
                    let function = names[rng.usize(..names.len())];
                    said.calls.push(Call {
                        id: if same_ids {
                            format!("call_{at}")
                        } else {
                            format!("call_{turn}_{at}")
                        },
                        function: function.to_owned(),
                        arguments: json!({"question": format!("{name} {mark} question{turn}.{at}")}),
                        source: source(function),
                    });
                }
            }
            turns.push(said);
        }
        let answered = channels
            .iter()
            .filter(|_| calls)
            .map(|channel| Answered {
                channel: channel.clone(),
                eager: rng.u8(..3) == 0,
                publishers: 1 + usize::from(rng.u8(..3) == 0),
            })
            .collect();
        Self {
            prompt: format!("{name} {mark}"),
            rival: (own && rng.u8(..4) == 0).then(|| format!("{name} {mark} rival")),
            channel: own.then(|| format!("{name}-channel-{:012x}", rng.u64(..1 << 48))),
            begins: Duration::from_millis(rng.u64(..500)),
            repeats: own && rng.u8(..6) != 0,
            pace: Duration::from_micros(if long { 0 } else { rng.u64(..6_000) }),
            turns,
            functions,
            answered,
            cancel: (rng.u8(..6) == 0).then(|| Duration::from_millis(rng.u64(..150))),
            name,
            secret,
        }
    }
}
