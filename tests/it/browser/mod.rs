//! Every page and document in a real headless Chromium: content, keyboard, console, requests, paper, accessibility.
//!
//! Where the machine has no browser these say what they leave out. `FLEETMEND_SHOTS=DIR` keeps pictures of the pages.

mod documents;
mod driver;
mod review;
mod view;
