//! What is counted goes over to the process that takes over, so that its counts go on where these
//! end: once a second while this one drains, and once more when its last connection has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::Control;
use crate::control::takeover::Line;
use crate::control::view::View;
use crate::telemetry::totals::Totals;

/// Time from one telling to the next.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The process that has taken over, as long as it listens.
pub(super) struct Heir {
    line: Arc<Line>,
    due: Instant,
    /// It is being told, beside the loop; answers whether it listens.
    telling: Option<JoinHandle<bool>>,
}

impl Heir {
    pub(super) fn new(line: Line) -> Heir {
        Heir {
            line: Arc::new(line),
            due: Instant::now(),
            telling: None,
        }
    }

    fn tell(&mut self, view: Arc<View>) {
        let line = Arc::clone(&self.line);
        self.due = Instant::now() + TELL_EVERY;
        self.telling = Some(spawn_blocking(move || line.tell(totals(&view)).is_ok()));
    }

    /// Whether it listened the last time.
    async fn has_heard(&mut self) -> bool {
        match self.telling.take() {
            Some(telling) => telling.await.unwrap_or(false),
            None => true,
        }
    }
}

fn totals(view: &View) -> Totals {
    let listeners = view.listener_facts();
    Totals::of(&listeners, &view.route_facts(), &view.backend_facts())
}

impl Control {
    /// Tells the process that has taken over what was counted so far, if it is time.
    pub(super) async fn tell_when_due(&mut self) {
        let Some(heir) = &mut self.upgrade.heir else {
            return;
        };
        let busy = heir.telling.as_ref().is_some_and(|it| !it.is_finished());
        if busy || Instant::now() < heir.due {
            return;
        }
        if !heir.has_heard().await {
            // It has ended, or is older than the word.
            self.upgrade.heir = None;
            return;
        }
        if let Some(view) = self.plans.view().load_full() {
            heir.tell(view);
        }
    }

    /// Tells it the last figures.
    pub(super) async fn tell_at_last(&mut self) {
        let Some(mut heir) = self.upgrade.heir.take() else {
            return;
        };
        if let Some(view) = self.plans.view().load_full()
            && heir.has_heard().await
        {
            heir.tell(view);
            if !heir.has_heard().await {
                tracing::warn!("the last counts were not heard");
            }
        }
    }

    /// Takes over what the process before has counted.
    pub(super) fn inherit(&mut self, totals: Option<Box<Totals>>) {
        let Some(totals) = totals else {
            self.upgrade.hears = false;
            return;
        };
        if let Some(view) = &*self.plans.view().load() {
            let listeners = view.listener_facts();
            totals.put(&listeners, &view.route_facts(), &view.backend_facts());
        }
    }
}
