//! A run on standard output: the bot's text as it comes, or every event as a JSON line; and the exit
//! code that its end means.
//!
//! In the human form standard output holds the bot's text alone, so that it can go into a file; the
//! prompt, function calls and the end are notes on standard error.

use serde_json::Value;

use super::context::quoted;
use super::exit::Exit;
use super::output::{Output, Stopped};
use crate::transcript::Item;
use crate::wire::event::{ActivityKind, RunError, RunResult};
use crate::wire::{Event, EventKind, Message, MessageKind, SubscriptionLine};

/// The most characters of a function's arguments or result that a note shows.
const LONGEST_VALUE: usize = 200;

/// Prints one run.
#[derive(Debug)]
pub struct Printer {
    out: Output,
    json: bool,
    /// What of the present bot message was printed.
    streamed: String,
    /// Whether any of the bot's text was printed.
    answered: bool,
    /// Whether reasoning is being printed.
    reasoning: bool,
    /// Tokens that the run used, as far as it said.
    used: (u64, u64),
    exit: Option<Exit>,
    /// The beginning of the command that publishes on the same server.
    publish: String,
}

impl Printer {
    /// A printer of JSON lines or of the human form. `publish`: the beginning of the command that publishes on the
    /// same server, for whoever is to answer a call.
    #[must_use]
    pub fn new(json: bool, publish: String) -> Self {
        Self {
            out: Output::new(),
            json,
            streamed: String::new(),
            answered: false,
            reasoning: false,
            used: (0, 0),
            exit: None,
            publish,
        }
    }

    /// How the run ended; `None` while it goes on.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Says something on standard error.
    pub fn note(&mut self, text: &str) {
        self.out.note(text);
    }

    /// Ends the line that is begun, before something that is no part of the run is said.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.reasoning) {
            self.out.aside("\n");
        }
        // Nobody is left to be told when this fails.
        let _ = self.out.end_line();
    }

    /// Prints what came over a channel.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn item(&mut self, item: &Item) -> Result<(), Stopped> {
        match item {
            Item::Event { event, raw, .. } => {
                if self.json {
                    self.out.line(&payload(raw))?;
                }
                self.event(event)
            }
            Item::Published { message, .. } if self.json => {
                let line = [&b"{\"type\":\"published\",\"data\":"[..], message, b"}"].concat();
                self.out.line(&line)
            }
            Item::Published { message, .. } => {
                let text = shorten(&String::from_utf8_lossy(message));
                self.out.note(&format!("published: {text}"));
                Ok(())
            }
            Item::Gap { missing } => {
                let count = missing.map_or(Value::Null, Value::from);
                if self.json {
                    self.out
                        .line(format!("{{\"type\":\"gap\",\"data\":{{\"missing\":{count}}}}}").as_bytes())?;
                } else {
                    self.out.note("events are missing here: the server no longer has them");
                }
                Ok(())
            }
            Item::Reset if self.json => self.out.line(b"{\"type\":\"reset\",\"data\":{}}"),
            Item::Reset => {
                self.streamed.clear();
                self.out.end_line()?;
                self.out.note("the channel began anew");
                Ok(())
            }
            Item::BadLine { reason } => {
                self.out.note(&format!("a line was left out: {reason}"));
                Ok(())
            }
        }
    }

    /// Prints an event of a completion, with its line as it came.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn completion(&mut self, event: &Event, raw: &[u8]) -> Result<(), Stopped> {
        if self.json {
            self.out.line(raw.trim_ascii())?;
        }
        self.event(event)
    }

    fn event(&mut self, event: &Event) -> Result<(), Stopped> {
        match &event.kind {
            EventKind::Result(result) => self.exit = Some(exit_of(&result.end.reason)),
            EventKind::Error(_) => self.exit = Some(Exit::Failed),
            _ => {}
        }
        if self.json { Ok(()) } else { self.show(event) }
    }

    fn show(&mut self, event: &Event) -> Result<(), Stopped> {
        if self.reasoning && !matches!(event.kind, EventKind::ReasoningToken(_)) {
            self.reasoning = false;
            self.out.aside("\n");
        }
        match &event.kind {
            EventKind::Token(token) => {
                self.streamed.push_str(&token.token);
                self.answered = true;
                self.out.text(&token.token)
            }
            EventKind::ReasoningToken(token) => {
                self.reasoning = true;
                self.out.aside(&token.token);
                Ok(())
            }
            EventKind::Message(message) => self.message(message),
            EventKind::Usage(usage) => {
                self.used.0 += usage.input_tokens_used;
                self.used.1 += usage.output_tokens_used;
                Ok(())
            }
            EventKind::WaitBegin(wait) => {
                self.out.note(&format!(
                    "{} waits for an answer; give one with: {}",
                    wait.function.name,
                    answer_command(&self.publish, &wait.channel)
                ));
                Ok(())
            }
            EventKind::Abort(abort) => {
                // What was streamed of this message is superseded or stays unfinished.
                self.streamed.clear();
                self.out.end_line()?;
                // That the run was cancelled is what its end says.
                if let Some(reason) = abort.reason.as_deref().filter(|reason| *reason != "cancelled") {
                    self.out.note(&format!("interrupted: {reason}"));
                }
                Ok(())
            }
            EventKind::Result(result) => self.result(result),
            EventKind::Error(error) => self.error(error),
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), Stopped> {
        match &message.kind {
            MessageKind::Bot => self.whole(&message.text),
            MessageKind::User => {
                for line in message.text.lines() {
                    self.out.note(&format!("> {line}"));
                }
                Ok(())
            }
            MessageKind::Activity => {
                if let Some(activity) = message.activity() {
                    let name = &activity.function.name;
                    let note = match activity.kind {
                        ActivityKind::Request => format!("calls {name}({})", value(&activity.function.arguments)),
                        ActivityKind::Response => {
                            let result = activity.function.result.as_ref().map_or_else(String::new, value);
                            format!("{name} gave {result}")
                        }
                        ActivityKind::Trigger => format!("triggered by {name}"),
                    };
                    self.out.note(&note);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The finished text of what was streamed: what the tokens did not bring is printed.
    fn whole(&mut self, text: &str) -> Result<(), Stopped> {
        let streamed = std::mem::take(&mut self.streamed);
        self.answered |= !text.is_empty();
        match text.strip_prefix(streamed.as_str()) {
            Some(rest) => self.out.text(rest)?,
            None => {
                self.out.end_line()?;
                self.out.note("pieces of the text above are missing; here it is whole");
                self.out.text(text)?;
            }
        }
        self.out.end_line()
    }

    fn result(&mut self, result: &RunResult) -> Result<(), Stopped> {
        if !self.answered && !result.text.is_empty() {
            self.out.text(&result.text)?;
        }
        self.out.end_line()?;
        let (read, written) = self.used;
        let used = if read + written == 0 {
            String::new()
        } else {
            format!(", {read} tokens read, {written} written")
        };
        match result.end.reason.as_str() {
            "abort" => self.out.note(&format!("cancelled{used}")),
            reason => self.out.note(&format!("ended: {reason}{used}")),
        }
        Ok(())
    }

    fn error(&mut self, error: &RunError) -> Result<(), Stopped> {
        self.out.end_line()?;
        self.out.note(&format!("the run failed: {}", error.message));
        Ok(())
    }
}

/// The command that answers a call which waits on this channel. `publish` is its beginning.
pub(super) fn answer_command(publish: &str, channel: &str) -> String {
    format!("{publish} {} '{{\"data\": ANSWER}}'", quoted(channel))
}

/// What the end of a run means for a script.
pub(super) fn exit_of(reason: &str) -> Exit {
    match reason {
        "abort" => Exit::Aborted,
        "error" => Exit::Failed,
        "activity" => Exit::Activity,
        "iteration" => Exit::Limit,
        _ => Exit::Done,
    }
}

/// The event in a line of a subscription, byte for byte.
fn payload(raw: &[u8]) -> Vec<u8> {
    match SubscriptionLine::parse(raw) {
        Ok(SubscriptionLine::Message(line)) => line.data.get().as_bytes().to_vec(),
        _ => raw.to_vec(),
    }
}

fn value(value: &Value) -> String {
    shorten(&value.to_string())
}

fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    match line.char_indices().nth(LONGEST_VALUE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_become_exit_codes() {
        for (reason, exit) in [
            ("stop", Exit::Done),
            ("length", Exit::Done),
            ("something new", Exit::Done),
            ("abort", Exit::Aborted),
            ("error", Exit::Failed),
            ("activity", Exit::Activity),
            ("iteration", Exit::Limit),
        ] {
            assert_eq!(exit_of(reason), exit, "{reason}");
        }
    }

    #[test]
    fn the_payload_of_a_line_is_its_bytes() {
        let raw = br#" {"id":3,"type":"message","data":{ "type":"token", "data":{"token":"\ud83d"} }}"#;
        assert_eq!(payload(raw), br#"{ "type":"token", "data":{"token":"\ud83d"} }"#);
        assert_eq!(payload(b"junk"), b"junk");
    }
}
