//! Uploads of an index as they happen: what is read, what is wanted, how soon, and what comes of it. Pure: whoever asks the
//! index and writes the database calls these.
//!
//! A feed is read in two steps. What it tells becomes events, which are written in one transaction with the cursor
//! ([`reading`]); afterwards each event is expanded: its project's page is read, and what is new there becomes files and jobs
//! ([`news`]). So nothing that was told is forgotten, however slow the rest is.

pub mod action;
pub mod config;
pub mod folder;
pub mod news;
pub mod patience;
pub mod reading;
