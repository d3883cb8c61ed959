//! Carries out what recordings want done: following channels into files, listing and reading them, and keeping
//! transcripts that were put away.
//!
//! A recording has a feed of its own, so that it costs the loop nothing and misses nothing. Transcripts that are
//! put away lie in files without a name, which go with the program however it ends.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::executor::Reply;
use super::service::Service;
use crate::app::Msg;
use crate::app::recordings::{Do, Msg as Recorded, SpoolEnd};
use crate::record::{self, End, Head, RecordError, Recording, Writer};
use crate::transcript::{Connection, FeedBatch, Item, Transcript};
use crate::wire::ChannelId;

/// How many batches may wait for the disk; then the feed waits, and with it the server.
const BATCHES: usize = 16;

/// How often it is looked whether another program still records what this one is to.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// Transcripts that were put away, by channel.
type Kept = Arc<Mutex<HashMap<ChannelId, File>>>;

/// What recordings need to be carried out. Dropping it ends them; what came is in their files.
pub(super) struct Recordings {
    directory: PathBuf,
    server: String,
    spools: HashMap<ChannelId, AbortOnDropHandle<()>>,
    kept: Kept,
    replies: mpsc::Sender<Reply>,
    /// Reads, lists and writes on their way.
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Recordings {
    /// `directory` is where recordings go; `server` what the server is called in them.
    pub fn new(directory: PathBuf, server: String, replies: mpsc::Sender<Reply>) -> Self {
        Self {
            directory,
            server,
            spools: HashMap::new(),
            kept: Kept::default(),
            replies,
            tasks: Vec::new(),
        }
    }

    /// Carries out what needs no server; gives back what does.
    pub fn execute(&mut self, what: Do) -> Option<Do> {
        self.tasks.retain(|task| !task.is_finished());
        match what {
            Do::Spool { .. } => return Some(what),
            Do::Unspool { channel } => drop(self.spools.remove(&channel)),
            Do::List => {
                let directory = self.directory.clone();
                self.blocking(move || Recorded::Listed(record::list(&directory).map_err(|error| error.to_string())));
            }
            Do::Open { name } => {
                let path = self.directory.join(name);
                self.blocking(move || Recorded::Opened(open(&path)));
            }
            Do::PutAway {
                channel,
                number,
                transcript,
            } => {
                let (kept, directory) = (Arc::clone(&self.kept), self.directory.clone());
                self.blocking(move || {
                    let result = match write_away(&directory, &transcript.0) {
                        Ok(file) => {
                            lock(&kept).insert(channel.clone(), file);
                            Ok(())
                        }
                        Err(error) => match Arc::try_unwrap(transcript.0) {
                            Ok(whole) => Err((Box::new(whole), error.to_string())),
                            // Nobody else holds it: an effect is carried out once.
                            Err(_) => Ok(()),
                        },
                    };
                    Recorded::PutAway {
                        channel,
                        number,
                        result,
                    }
                });
            }
            Do::Fetch { channel, number } => {
                let kept = Arc::clone(&self.kept);
                self.blocking(move || {
                    let result = fetch(&kept, &channel).map(Box::new).map_err(|error| error.to_string());
                    Recorded::Fetched {
                        channel,
                        number,
                        result,
                    }
                });
            }
            Do::Forget { channel } => drop(lock(&self.kept).remove(&channel)),
        }
        None
    }

    /// Begins to record a channel.
    pub fn spool(&mut self, service: &dyn Service, channel: ChannelId, title: &str, file: Option<String>) {
        self.spools.retain(|_, task| !task.is_finished());
        let name = file.unwrap_or_else(|| record::file_name(title, &stamp(), &channel));
        let path = self.directory.join(&name);
        let head = Head::new(title, &self.server, unix_ms());
        let replies = self.replies.clone();
        let (batches, receiver) = mpsc::channel(BATCHES);
        // The feed is made here, so that the task owns all that it needs; it begins where the file ends.
        let (begin, after) = oneshot::channel();
        let feed = service.follow(channel.clone(), Box::pin(async { after.await.ok().flatten() }), batches);
        let of = channel.clone();
        let task = tokio::spawn(async move {
            let report = |message| {
                let replies = replies.clone();
                async move {
                    let _ = replies.send(Reply::Msg(Msg::Recordings(message))).await;
                }
            };
            let end = match open_writer(path, head).await {
                Ok((writer, from)) => {
                    report(Recorded::Spooling {
                        channel: channel.clone(),
                        file: name,
                    })
                    .await;
                    match from {
                        // Nothing comes after the end.
                        End::Whole => SpoolEnd::Whole,
                        from => {
                            let _ = begin.send(from.id());
                            tokio::select! {
                                end = write(receiver, writer) => end,
                                // The feed ends after its last batch was taken; the writer then sees the end of the
                                // queue.
                                () = async { feed.await; std::future::pending::<()>().await } => SpoolEnd::Whole,
                            }
                        }
                    }
                }
                Err(reason) => SpoolEnd::Failed(reason),
            };
            report(Recorded::Spooled { channel, end }).await;
        });
        self.spools.insert(of, AbortOnDropHandle::new(task));
    }

    fn blocking(&mut self, work: impl FnOnce() -> Recorded + Send + 'static) {
        let replies = self.replies.clone();
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Ok(message) = tokio::task::spawn_blocking(work).await {
                let _ = replies.send(Reply::Msg(Msg::Recordings(message))).await;
            }
        })));
    }
}

/// Opens a recording, and says where it goes on. Where another program records the same channel into it,
/// this one takes over once that program has ended.
async fn open_writer(path: PathBuf, head: Head) -> Result<(Writer, End), String> {
    loop {
        let (path, head) = (path.clone(), head.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let mut writer = Writer::open(&path, &head)?;
            let end = record::read(&path)?.end();
            if end == End::Unknown {
                // All of it comes again: what is there so far is not to stand twice.
                writer.append(&[Item::Reset], unix_ms())?;
            }
            Ok((writer, end))
        });
        match opened.await {
            Ok(Err(RecordError::Busy { .. })) => tokio::time::sleep(TAKE_OVER).await,
            Ok(opened) => return opened.map_err(|error: RecordError| error.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Writes what comes until nothing more does.
async fn write(mut batches: mpsc::Receiver<FeedBatch>, writer: Writer) -> SpoolEnd {
    let mut writer = Some(writer);
    let mut end = SpoolEnd::Whole;
    while let Some(FeedBatch { items, connection }) = batches.recv().await {
        if !items.is_empty() {
            let Some(mut taken) = writer.take() else { break };
            let written = tokio::task::spawn_blocking(move || {
                let result = taken.append(&items, unix_ms());
                (taken, result)
            })
            .await;
            match written {
                Ok((back, Ok(()))) => writer = Some(back),
                Ok((_, Err(error))) => return SpoolEnd::Failed(error.to_string()),
                Err(error) => return SpoolEnd::Failed(error.to_string()),
            }
        }
        match connection {
            Some(Connection::ServerGone { .. }) => end = SpoolEnd::ServerGone,
            Some(Connection::Failed { reason }) => end = SpoolEnd::Failed(reason),
            Some(Connection::Ended) => return SpoolEnd::Whole,
            _ => {}
        }
    }
    end
}

fn open(path: &Path) -> Result<Arc<Recording>, String> {
    let recording = record::read(path).map_err(|error| error.to_string())?;
    if recording.moments.is_empty() {
        return Err(format!("{} holds nothing that happened", path.display()));
    }
    Ok(Arc::new(recording))
}

fn write_away(directory: &Path, transcript: &Transcript) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    // It has no name: nobody else can open it, and it is gone with the program, however that ends.
    let mut writer = BufWriter::new(tempfile::tempfile_in(directory)?);
    serde_json::to_writer(&mut writer, transcript)?;
    writer.flush()?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

fn fetch(kept: &Kept, channel: &ChannelId) -> io::Result<Transcript> {
    let mut file = lock(kept)
        .remove(channel)
        .ok_or_else(|| io::Error::other("it is not where it was put"))?;
    file.rewind()?;
    Ok(serde_json::from_reader(BufReader::new(file))?)
}

fn lock(kept: &Kept) -> std::sync::MutexGuard<'_, HashMap<ChannelId, File>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The local time for a file's name.
fn stamp() -> String {
    jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use serde_json::{Value, json};

    use super::super::service::Answer;
    use super::*;
    use crate::wire::request::RunSummary;
    use crate::wire::{DispatchRequest, Event};

    /// A server of one channel with these events.
    struct Server(Vec<Item>);

    impl Service for Server {
        fn watch(&mut self, _: ChannelId, _: u64, _: Option<u64>) {}

        fn unwatch(&mut self, _: &ChannelId) {}

        fn show(&mut self, _: &[ChannelId], _: Option<&[ChannelId]>) {}

        fn dispatch(&self, _: DispatchRequest) -> Answer<ChannelId> {
            std::future::pending().boxed()
        }

        fn publish(&self, _: ChannelId, _: Value) -> Answer<()> {
            std::future::pending().boxed()
        }

        fn cancel(&self, _: ChannelId) -> Answer<()> {
            std::future::pending().boxed()
        }

        fn runs(&self) -> Answer<Vec<RunSummary>> {
            std::future::pending().boxed()
        }

        fn follow(
            &self,
            _: ChannelId,
            after: BoxFuture<'static, Option<u64>>,
            batches: mpsc::Sender<FeedBatch>,
        ) -> BoxFuture<'static, ()> {
            let all = self.0.clone();
            async move {
                let after = after.await;
                let is_new = |item: &Item| matches!(item, Item::Event { id, .. } if *id > after);
                for item in all.into_iter().filter(is_new) {
                    let batch = FeedBatch {
                        items: vec![item],
                        connection: None,
                    };
                    let _ = batches.send(batch).await;
                }
                let gone = FeedBatch {
                    items: Vec::new(),
                    connection: Some(Connection::ServerGone { reason: "gone".into() }),
                };
                let _ = batches.send(gone).await;
            }
            .boxed()
        }
    }

    fn event(id: u64, text: &str) -> Item {
        let data = json!({"type": "token", "data": {"token": text}});
        let raw = json!({"type": "message", "id": id, "createdAt": 5 + id, "data": data}).to_string();
        Item::Event {
            id: Some(id),
            at: Some(5 + id),
            event: Event::from_json(&data.to_string()).expect("an event"),
            raw: Bytes::from(raw),
        }
    }

    async fn next(replies: &mut mpsc::Receiver<Reply>) -> Recorded {
        match replies.recv().await {
            Some(Reply::Msg(Msg::Recordings(message))) => message,
            _ => panic!("another reply"),
        }
    }

    #[tokio::test]
    async fn a_channel_goes_into_a_file_and_on_after_what_is_in_it() {
        let root = tempfile::tempdir().expect("a directory");
        let (replies, mut told) = mpsc::channel(8);
        let mut recordings = Recordings::new(root.path().join("r"), "local".into(), replies);
        let channel = ChannelId::from_random([3; 18]);
        recordings.spool(
            &Server(vec![event(0, "a"), event(1, "b")]),
            channel.clone(),
            "A title",
            None,
        );
        let Recorded::Spooling { file, .. } = next(&mut told).await else {
            panic!("it begins")
        };
        let Recorded::Spooled { end, .. } = next(&mut told).await else {
            panic!("it ends")
        };
        assert_eq!(end, SpoolEnd::ServerGone);
        let all = Server((0..4).map(|id| event(id, "c")).collect());
        recordings.spool(&all, channel.clone(), "A title", Some(file.clone()));
        assert!(matches!(next(&mut told).await, Recorded::Spooling { .. }));
        assert!(matches!(next(&mut told).await, Recorded::Spooled { .. }));
        assert!(recordings.execute(Do::Open { name: file }).is_none());
        let Recorded::Opened(Ok(recording)) = next(&mut told).await else {
            panic!("it is read")
        };
        let mut transcript = Transcript::new();
        for moment in &recording.moments {
            transcript.apply(moment.item(), moment.at);
        }
        assert_eq!(transcript.plain_answer(), "abcc", "nothing twice, nothing missing");
        recordings.execute(Do::List);
        let Recorded::Listed(Ok(found)) = next(&mut told).await else {
            panic!("they are listed")
        };
        assert_eq!(found.len(), 1);
        recordings.execute(Do::Open { name: "none".into() });
        let Recorded::Opened(Err(reason)) = next(&mut told).await else {
            panic!("it is not there")
        };
        assert!(reason.contains("none"), "{reason}");
    }

    #[tokio::test]
    async fn a_cut_line_a_second_program_and_a_server_without_ids_spoil_no_recording() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("f.jsonl");
        let head = || Head::new("t", "local", 1);
        // A server without ids.
        let line = |text: &str| match event(0, text) {
            Item::Event { event, .. } => Item::Event {
                id: None,
                at: None,
                raw: json!({"type": "message", "data": {"type": "token", "data": {"token": text}}})
                    .to_string()
                    .into(),
                event,
            },
            other => other,
        };
        let mut writer = Writer::open(&path, &head()).expect("made");
        assert!(matches!(Writer::open(&path, &head()), Err(RecordError::Busy { .. })));
        writer.append(&[line("a")], 1).expect("written");
        drop(writer);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"{\"t\":2,\"event\":{\"ty").expect("cut");
        drop(file);
        let (mut writer, end) = open_writer(path.clone(), head()).await.expect("opened");
        assert_eq!((end, end.id()), (End::Unknown, None));
        writer.append(&[line("a"), line("b")], 3).expect("written");
        let recording = record::read(&path).expect("read");
        let mut transcript = Transcript::new();
        for moment in &recording.moments {
            transcript.apply(moment.item(), moment.at);
        }
        assert!(!recording.cut);
        assert_eq!(transcript.plain_answer(), "ab", "what came again stands once");
        let over = r#"{"type":"message","id":7,"data":{"type":"result","data":{"end":{"reason":"stop"}}}}"#;
        let over = Item::Event {
            id: Some(7),
            at: None,
            event: Event::from_json(r#"{"type":"result","data":{"end":{"reason":"stop"}}}"#).expect("an event"),
            raw: Bytes::from_static(over.as_bytes()),
        };
        writer.append(&[over], 4).expect("written");
        assert_eq!(record::read(&path).expect("read").end(), End::Whole);
    }

    #[tokio::test]
    async fn a_place_that_takes_nothing_is_said() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("file");
        std::fs::write(&file, "").expect("written");
        let (replies, mut told) = mpsc::channel(8);
        let mut recordings = Recordings::new(file.join("r"), "local".into(), replies);
        let channel = ChannelId::from_random([3; 18]);
        recordings.spool(&Server(Vec::new()), channel.clone(), "t", None);
        assert!(matches!(
            next(&mut told).await,
            Recorded::Spooled {
                end: SpoolEnd::Failed(_),
                ..
            }
        ));
        let whole = || crate::app::recordings::Whole(Arc::new(Transcript::new()));
        recordings.execute(Do::PutAway {
            channel: channel.clone(),
            number: 1,
            transcript: whole(),
        });
        assert!(matches!(
            next(&mut told).await,
            Recorded::PutAway { result: Err(_), .. }
        ));
    }

    #[tokio::test]
    async fn what_is_put_away_is_fetched_whole_and_leaves_no_file_behind() {
        let root = tempfile::tempdir().expect("a directory");
        let (replies, mut told) = mpsc::channel(8);
        let mut recordings = Recordings::new(root.path().to_owned(), "local".into(), replies);
        let channel = ChannelId::from_random([3; 18]);
        let mut transcript = Transcript::new();
        transcript.apply(event(0, "what was said"), 9);
        recordings.execute(Do::PutAway {
            channel: channel.clone(),
            number: 1,
            transcript: crate::app::recordings::Whole(Arc::new(transcript)),
        });
        assert!(matches!(
            next(&mut told).await,
            Recorded::PutAway { result: Ok(()), .. }
        ));
        assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 0, "no name");
        recordings.execute(Do::Fetch {
            channel: channel.clone(),
            number: 1,
        });
        let Recorded::Fetched { result: Ok(whole), .. } = next(&mut told).await else {
            panic!("it is fetched")
        };
        assert_eq!(whole.plain_answer(), "what was said");
        recordings.execute(Do::Fetch { channel, number: 1 });
        assert!(
            matches!(next(&mut told).await, Recorded::Fetched { result: Err(_), .. }),
            "once"
        );
    }
}
