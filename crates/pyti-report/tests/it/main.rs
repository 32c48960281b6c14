//! Reports of recordings that are built from the model's own types.

mod any;
mod enemy;
mod exports;
mod forms;
mod hostile;
mod page;
mod quality;
mod safety;
mod shown;
mod support;
mod traced;
