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
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::executor::Reply;
use super::service::Service;
use crate::app::Msg;
use crate::app::recordings::{Do, Msg as Recorded, SpoolEnd};
use crate::record::{self, Head, Recording, Writer};
use crate::transcript::{Connection, FeedBatch, Item, Transcript};
use crate::wire::ChannelId;

/// How many batches may wait for the disk; then the feed waits, and with it the server.
const BATCHES: usize = 16;

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
                generation,
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
                        generation,
                        result,
                    }
                });
            }
            Do::Fetch { channel, generation } => {
                let kept = Arc::clone(&self.kept);
                self.blocking(move || {
                    let result = fetch(&kept, &channel).map(Box::new).map_err(|error| error.to_string());
                    Recorded::Fetched {
                        channel,
                        generation,
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
        // Both are made here, so that the task owns all that it needs.
        let read = path.clone();
        let after = async move {
            let recording = tokio::task::spawn_blocking(move || record::read(&read)).await;
            recording.ok()?.ok().as_ref().and_then(last_id)
        };
        let feed = service.follow(channel.clone(), Box::pin(after), batches);
        let of = channel.clone();
        let task = tokio::spawn(async move {
            let report = |message| {
                let replies = replies.clone();
                async move {
                    let _ = replies.send(Reply::Msg(Msg::Recordings(message))).await;
                }
            };
            let opened = tokio::task::spawn_blocking(move || Writer::open(&path, &head)).await;
            let end = match opened {
                Ok(Ok(writer)) => {
                    report(Recorded::Spooling {
                        channel: channel.clone(),
                        file: name,
                    })
                    .await;
                    tokio::select! {
                        end = write(receiver, writer) => end,
                        // The feed ends after its last batch was taken; the writer then sees the end of the queue.
                        () = async { feed.await; std::future::pending::<()>().await } => SpoolEnd::Whole,
                    }
                }
                Ok(Err(error)) => SpoolEnd::Failed(error.to_string()),
                Err(error) => SpoolEnd::Failed(error.to_string()),
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

/// The id of the last event of a recording.
fn last_id(recording: &Recording) -> Option<u64> {
    recording.moments.iter().rev().find_map(|moment| match moment.item() {
        Item::Event { id, .. } => id,
        _ => None,
    })
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
            generation: 1,
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
            generation: 1,
            transcript: crate::app::recordings::Whole(Arc::new(transcript)),
        });
        assert!(matches!(
            next(&mut told).await,
            Recorded::PutAway { result: Ok(()), .. }
        ));
        assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 0, "no name");
        recordings.execute(Do::Fetch {
            channel: channel.clone(),
            generation: 1,
        });
        let Recorded::Fetched { result: Ok(whole), .. } = next(&mut told).await else {
            panic!("it is fetched")
        };
        assert_eq!(whole.plain_answer(), "what was said");
        recordings.execute(Do::Fetch { channel, generation: 1 });
        assert!(
            matches!(next(&mut told).await, Recorded::Fetched { result: Err(_), .. }),
            "once"
        );
    }
}
