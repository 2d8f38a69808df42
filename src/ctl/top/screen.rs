//! What is on the screen, and what keys do to it. Pure: answers and keys in, state out.

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::overview::Overview;
use super::rates::{self, BackendRates, CoreRates, Rates};

/// Rates that are kept for the line of throughput.
const HISTORY_MAX: usize = 300;

/// What the lower part shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Backends,
    Cores,
    Events,
    Groups,
    Shards,
}

impl Panel {
    pub(super) const ALL: [(Panel, &'static str); 5] = [
        (Panel::Backends, "backends"),
        (Panel::Groups, "groups"),
        (Panel::Cores, "cores"),
        (Panel::Shards, "shards"),
        (Panel::Events, "events"),
    ];
}

/// By what backends are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Failures,
    InFlight,
    Mean,
    Name,
    Requests,
    State,
    Weight,
}

impl Sort {
    /// In the order of the columns.
    pub(super) const ALL: [Sort; 7] = [
        Sort::Name,
        Sort::State,
        Sort::Weight,
        Sort::Requests,
        Sort::InFlight,
        Sort::Failures,
        Sort::Mean,
    ];

    fn compare(self, a: &BackendRates, b: &BackendRates) -> Ordering {
        let by_name = || (&a.group, &a.name).cmp(&(&b.group, &b.name));
        match self {
            Sort::Failures => b.failures.total_cmp(&a.failures),
            Sort::InFlight => b.in_flight.cmp(&a.in_flight),
            Sort::Mean => {
                let mean = |of: &BackendRates| of.mean.unwrap_or(-1.0);
                mean(b).total_cmp(&mean(a))
            }
            Sort::Name => by_name(),
            Sort::Requests => b.requests.total_cmp(&a.requests),
            Sort::State => rank(&a.state).cmp(&rank(&b.state)),
            Sort::Weight => b.weight.cmp(&a.weight),
        }
        .then_with(by_name)
    }
}

/// What is worst comes first.
fn rank(state: &str) -> usize {
    let order = ["down", "maint", "drain", "leaving"];
    let place = order.iter().position(|known| *known == state);
    place.unwrap_or(order.len())
}

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Leave,
    Stay,
}

/// The screen.
pub(super) struct Screen {
    pub(super) now: Option<Overview>,
    pub(super) rates: Option<Rates>,
    pub(super) history: Vec<f64>,
    pub(super) cores: Vec<CoreRates>,
    all: Vec<BackendRates>,
    pub(super) panel: Panel,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) paused: bool,
    /// The text names must have, and whether it is being typed.
    pub(super) find: String,
    pub(super) typing: bool,
    /// First line of the panel that is seen.
    pub(super) top: usize,
    /// Why the last question had no answer.
    pub(super) trouble: Option<String>,
}

impl Screen {
    pub(super) fn new() -> Screen {
        Screen {
            now: None,
            rates: None,
            history: Vec::new(),
            cores: Vec::new(),
            all: Vec::new(),
            panel: Panel::Backends,
            sort: Sort::Requests,
            reversed: false,
            paused: false,
            find: String::new(),
            typing: false,
            top: 0,
            trouble: None,
        }
    }

    /// The node answered, or did not.
    pub(super) fn take(&mut self, answer: Result<Overview, String>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                self.trouble = Some(trouble.trim().to_owned());
                return;
            }
        };
        self.trouble = None;
        if self.paused {
            return;
        }
        let before = self.now.as_ref();
        self.rates = before.and_then(|before| rates::whole(&answer, before));
        self.all = rates::backends(&answer, before);
        self.cores = rates::cores(&answer, before);
        if let Some(rates) = &self.rates {
            if self.history.len() == HISTORY_MAX {
                self.history.remove(0);
            }
            self.history.push(rates.requests);
        }
        self.now = Some(answer);
    }

    /// All backends, found or not.
    pub(super) fn every_backend(&self) -> &[BackendRates] {
        &self.all
    }

    /// The backends that are found, in order.
    pub(super) fn backends(&self) -> Vec<&BackendRates> {
        let find = self.find.to_lowercase();
        let fits = |row: &&BackendRates| {
            let name = format!("{} {} {}", row.group, row.name, row.state);
            name.to_lowercase().contains(&find)
        };
        let mut found: Vec<&BackendRates> = self.all.iter().filter(fits).collect();
        found.sort_by(|a, b| {
            let order = self.sort.compare(a, b);
            if self.reversed {
                order.reverse()
            } else {
                order
            }
        });
        found
    }

    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyEvent) -> After {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return After::Leave;
        }
        if self.typing {
            self.type_in(key.code);
            return After::Stay;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return After::Leave,
            KeyCode::Tab => self.turn_to(1),
            KeyCode::BackTab => self.turn_to(Panel::ALL.len() - 1),
            KeyCode::Char('>') | KeyCode::Right => self.sort_by(1),
            KeyCode::Char('<') | KeyCode::Left => self.sort_by(Sort::ALL.len() - 1),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Down => self.top = self.top.saturating_add(1),
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = self.top.saturating_add(20),
            KeyCode::PageUp => self.top = self.top.saturating_sub(20),
            KeyCode::Home => self.top = 0,
            _ => {}
        }
        After::Stay
    }

    fn type_in(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.find.clear();
            }
            KeyCode::Backspace => {
                self.find.pop();
            }
            KeyCode::Char(letter) if self.find.len() < 64 => self.find.push(letter),
            _ => {}
        }
        self.top = 0;
    }

    fn turn_to(&mut self, steps: usize) {
        let panels = Panel::ALL;
        let place = panels.iter().position(|(panel, _)| *panel == self.panel);
        self.panel = panels[(place.unwrap_or(0) + steps) % panels.len()].0;
        self.top = 0;
    }

    fn sort_by(&mut self, steps: usize) {
        let place = Sort::ALL.iter().position(|sort| *sort == self.sort);
        self.sort = Sort::ALL[(place.unwrap_or(0) + steps) % Sort::ALL.len()];
        self.top = 0;
    }
}

#[cfg(test)]
mod tests;
