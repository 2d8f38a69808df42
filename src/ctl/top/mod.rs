//! `weir top`: what a node does now, in a terminal.
//!
//! It takes the same totals as the dashboard (`/v1/overview`) once in an interval, and shows the
//! difference of two. A thread asks, so that a node that does not answer holds up no key.

mod draw;
mod overview;
mod rates;
mod screen;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use axum::http::Method;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::overview::Overview;
use self::screen::{After, Screen};
use super::client::{Reply, Wish, ask};
use super::show::refusal;
use super::{Ending, failed};
use crate::cli::{Asking, Top};

/// How long a key waits at most for the screen that shows its effect.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the asking thread brings.
type Answer = Result<Box<Overview>, String>;

/// Shows a node until its user has seen enough.
#[must_use]
pub fn run(top: &Top) -> Ending {
    if !io::stdout().is_terminal() {
        let text = "weir top needs a terminal; weir ctl status prints once";
        return failed(&io::Error::other(text));
    }
    // The first answer is waited for, so that a wrong address or token is told as usual.
    let first = match look(&top.asking) {
        Ok(first) => first,
        Err(error) => {
            eprint!("weir: {}", error.trim_end());
            eprintln!();
            return Ending::Refused;
        }
    };
    let interval = Duration::from_millis(u64::from(top.interval_ms));
    let (answers, orders) = asking(top.asking.clone(), interval);
    let mut screen = Screen::new();
    screen.take(Ok(first));
    let mut terminal = ratatui::init();
    let shown = show(&mut terminal, &mut screen, &answers);
    ratatui::restore();
    drop(orders);
    match shown {
        Ok(()) => Ending::Done,
        Err(error) => failed(&error),
    }
}

/// A thread that asks once in an interval until the other end of its orders is dropped.
fn asking(asking: Asking, interval: Duration) -> (Receiver<Answer>, SyncSender<()>) {
    let (sender, answers) = sync_channel(1);
    let (orders, ordered) = sync_channel::<()>(0);
    thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = ordered.recv_timeout(interval) {
            if sender.send(look(&asking).map(Box::new)).is_err() {
                return;
            }
        }
    });
    (answers, orders)
}

/// Asks once.
fn look(asking: &Asking) -> Result<Overview, String> {
    let wish = Wish {
        method: Method::GET,
        target: "/v1/overview".to_owned(),
        body: None,
        if_epoch: None,
    };
    let Reply { done, status, body } = ask(asking, &wish).map_err(|error| error.to_string())?;
    match done {
        true => Overview::read(body),
        false => Err(refusal(status, &body)),
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    answers: &Receiver<Answer>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw::all(frame, screen))?;
        let mut is_new = false;
        while !is_new {
            if event::poll(LOOK_EVERY)? {
                is_new = true;
                if let Event::Key(key) = event::read()?
                    && key.kind != KeyEventKind::Release
                    && screen.press(key) == After::Leave
                {
                    return Ok(());
                }
            }
            match answers.try_recv() {
                Ok(answer) => {
                    screen.take(answer.map(|answer| *answer));
                    is_new = true;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the asking thread ended"));
                }
            }
        }
    }
}
