//! Switchboard: a terminal, a headless client and a server for AI runs that go on in the background.
//!
//! The module map, by rank; a module uses only its own rank and lower ones (`tests/layering.rs`):
//!
//! | rank | modules |
//! |---|---|
//! | 0 | [`wire`] |
//! | 1 | [`config`], [`transcript`], [`text`] |
//! | 2 | [`client`], [`app`], [`functions`], [`hub`], [`store`], [`llm`], [`fetch`] |
//! | 3 | [`engine`], [`ui`], [`term`] |
//! | 4 | [`server`], [`local`] |
//! | 5 | [`tui`], [`cli`] |

pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod engine;
pub mod fetch;
pub mod functions;
pub mod hub;
pub mod llm;
pub mod local;
pub mod measure;
pub mod record;
pub mod server;
pub mod store;
pub mod term;
pub mod text;
pub mod transcript;
pub mod tui;
pub mod ui;
pub mod wire;
