//! The screen drawn: figures above, one panel below, keys at the bottom.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table};

use super::overview::{Member, Overview};
use super::rates::{BackendRates, Rates, imbalance};
use super::screen::{Panel, Screen, Sort};

pub(super) fn all(frame: &mut Frame<'_>, screen: &mut Screen) {
    let [head, figures, line, tabs, panel, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(keys_line(screen), keys);
    frame.render_widget(tabs_line(screen), tabs);
    let Some(now) = screen.now.clone() else {
        let text = screen.trouble.as_deref().unwrap_or("no answer yet");
        frame.render_widget(Paragraph::new(text.to_owned()), head);
        return;
    };
    frame.render_widget(head_line(&now, screen), head);
    frame.render_widget(Paragraph::new(figure_lines(&now, screen)), figures);
    let history: Vec<u64> = screen.history.iter().map(|rate| *rate as u64).collect();
    let last = history.len().saturating_sub(usize::from(line.width));
    frame.render_widget(Sparkline::default().data(&history[last..]).cyan(), line);
    let rows = rows_of(&now, screen);
    let seen = usize::from(panel.height.saturating_sub(1));
    screen.top = screen.top.min(rows.len().saturating_sub(seen));
    let (heads, widths) = columns(screen.panel);
    let heads = heads.iter().enumerate().map(|(index, head)| {
        let sorted = screen.panel == Panel::Backends && sort_of(index) == Some(screen.sort);
        match sorted {
            true => Cell::from(format!("{head}{}", if screen.reversed { "^" } else { "v" })).bold(),
            false => Cell::from(*head),
        }
    });
    let shown = rows.into_iter().skip(screen.top).take(seen);
    let table = Table::new(shown, widths).header(Row::new(heads).dim());
    frame.render_widget(table, panel);
}

fn head_line(now: &Overview, screen: &Screen) -> Line<'static> {
    let Some(node) = now.nodes.first() else {
        return Line::from("no node");
    };
    let late = node.cores.iter().filter(|core| core.epoch != node.epoch);
    let late = late.count();
    let on = match late {
        0 => "on every core".to_owned(),
        late => format!("{late} cores behind"),
    };
    let text = format!(
        "{}  weir {}  {}  up {}  epoch {} {on}  ",
        node.name,
        node.version,
        node.phase,
        span(node.uptime_ms / 1000),
        node.epoch,
    );
    let state = match (&screen.trouble, screen.paused) {
        (Some(trouble), _) => Span::from(format!("NOT REACHED: {trouble}")).red().bold(),
        (None, true) => Span::from("PAUSED").bold(),
        (None, false) => Span::from("live").cyan(),
    };
    Line::from(vec![Span::from(text), state])
}

fn figure_lines(now: &Overview, screen: &Screen) -> Vec<Line<'static>> {
    let Some(rates) = &screen.rates else {
        return vec![Line::from("figures come with the second answer").dim()];
    };
    let open: u64 = now.listeners.iter().map(|each| each.connections).sum();
    let time = |index: usize| micros(rates.latency.map(|latency| latency[index]));
    let first = format!(
        "requests {}/s   p50 {}  p90 {}  p99 {}  p99.9 {}   connections {open}",
        count(rates.requests),
        time(0),
        time(1),
        time(2),
        time(3),
    );
    let resident = now.nodes.first().map_or(0, |node| node.resident_bytes);
    let uneven = imbalance(&screen.cores);
    let third = format!(
        "in {}/s  out {}/s   {:.2} CPUs  {}   imbalance {}",
        bytes(rates.received),
        bytes(rates.sent),
        rates.cpus,
        bytes(resident as f64),
        uneven.map_or("-".to_owned(), |uneven| format!("{uneven:.2}")),
    );
    let third = format!("{third}{}", cluster(&now.cluster));
    vec![
        Line::from(first).bold(),
        answers_line(rates),
        Line::from(third),
    ]
}

/// How the nodes of the cluster stand, where there is one.
fn cluster(members: &[Member]) -> String {
    if members.is_empty() {
        return String::new();
    }
    let there = || members.iter().filter(|member| member.standing == "alive");
    let newest = there().map(|member| member.epoch).max().unwrap_or(0);
    let behind = there().filter(|member| member.adopted.is_none_or(|epoch| epoch < newest));
    let (alive, all, behind) = (there().count(), members.len(), behind.count());
    format!("   nodes {alive} of {all}, {behind} behind")
}

fn answers_line(rates: &Rates) -> Line<'static> {
    let mut spans = vec![Span::from("answers ")];
    for (kind, rate) in rates
        .codes
        .iter()
        .enumerate()
        .filter(|(_, rate)| **rate > 0.0)
    {
        let text = Span::from(format!(" {kind}xx {}/s ", count(*rate)));
        spans.push(if kind == 5 { text.red().bold() } else { text });
    }
    for (name, rate) in &rates.faults {
        spans.push(Span::from(format!(" {name} {}/s ", count(*rate))).red());
    }
    if spans.len() == 1 {
        spans.push(Span::from(" none").dim());
    }
    Line::from(spans)
}

fn tabs_line(screen: &Screen) -> Line<'static> {
    let mut spans = Vec::new();
    for (panel, name) in Panel::ALL {
        let span = Span::from(format!(" {name} "));
        spans.push(match panel == screen.panel {
            true => span.add_modifier(Modifier::REVERSED),
            false => span.dim(),
        });
    }
    if screen.typing || !screen.find.is_empty() {
        let end = if screen.typing { "_" } else { "" };
        spans.push(Span::from(format!("  find: {}{end}", screen.find)));
    }
    Line::from(spans)
}

fn keys_line(screen: &Screen) -> Line<'static> {
    let text = match screen.typing {
        true => "Enter keep  Esc forget",
        false => "q quit  Tab panel  < > sort  r reverse  / find  Up Down scroll  Space pause",
    };
    Line::from(text).style(Style::new().add_modifier(Modifier::REVERSED))
}

/// Which column of backends sorts how.
fn sort_of(column: usize) -> Option<Sort> {
    // The first column is the group, which goes with the name.
    Sort::ALL.get(column.checked_sub(1)?).copied()
}

fn columns(panel: Panel) -> (&'static [&'static str], Vec<Constraint>) {
    let (heads, widths): (&[&str], &[u16]) = match panel {
        Panel::Backends => (
            &[
                "group",
                "backend",
                "state",
                "weight",
                "req/s",
                "in flight",
                "failing/s",
                "mean",
                "for",
                "why",
            ],
            &[14, 24, 8, 7, 9, 10, 10, 9, 8, 30],
        ),
        Panel::Cores => (
            &[
                "core",
                "state",
                "epoch",
                "req/s",
                "connections",
                "batch",
                "starved/s",
            ],
            &[6, 9, 9, 10, 12, 8, 10],
        ),
        Panel::Events => (
            &["ago", "group", "backend", "change", "by", "why"],
            &[10, 14, 24, 18, 10, 40],
        ),
        Panel::Groups => (
            &[
                "group",
                "policy",
                "up",
                "req/s",
                "in flight",
                "failing/s",
                "",
            ],
            &[20, 26, 12, 10, 10, 10, 10],
        ),
        Panel::Shards => (&["shard", "function", "group", "keys"], &[20, 18, 24, 10]),
    };
    (
        heads,
        widths
            .iter()
            .map(|width| Constraint::Length(*width))
            .collect(),
    )
}

fn rows_of(now: &Overview, screen: &Screen) -> Vec<Row<'static>> {
    match screen.panel {
        Panel::Backends => screen
            .backends()
            .into_iter()
            .map(|row| backend(now, row))
            .collect(),
        Panel::Cores => cores(screen),
        Panel::Events => events(now),
        Panel::Groups => groups(now, screen),
        Panel::Shards => shards(now),
    }
}

fn backend(now: &Overview, row: &BackendRates) -> Row<'static> {
    let why = if row.state == "up" { "" } else { &*row.reason };
    let since = now.at_ms.saturating_sub(row.since_ms) / 1000;
    let known = if row.since_ms == 0 {
        String::new()
    } else {
        span(since)
    };
    let cells = Row::new([
        row.group.clone(),
        row.name.clone(),
        row.state.clone(),
        row.weight.to_string(),
        count(row.requests),
        row.in_flight.to_string(),
        count(row.failures),
        micros(row.mean),
        known,
        why.to_owned(),
    ]);
    match &*row.state {
        "down" => cells.red().bold(),
        "up" => cells,
        _ => cells.dim(),
    }
}

fn cores(screen: &Screen) -> Vec<Row<'static>> {
    let each = screen.cores.iter().map(|core| {
        Row::new([
            core.core.to_string(),
            core.state.clone(),
            core.epoch.to_string(),
            count(core.requests),
            core.connections.to_string(),
            core.batch.map_or("-".to_owned(), count),
            count(core.starved),
        ])
    });
    each.collect()
}

fn events(now: &Overview) -> Vec<Row<'static>> {
    let each = now.events.iter().map(|event| {
        Row::new([
            span(now.at_ms.saturating_sub(event.at_ms) / 1000),
            event.group.clone(),
            event.name.clone(),
            format!("{} -> {}", event.from, event.to),
            event.source.clone(),
            event.reason.clone(),
        ])
    });
    each.collect()
}

fn groups(now: &Overview, screen: &Screen) -> Vec<Row<'static>> {
    let each = now.groups.iter().map(|group| {
        let mine = screen.every_backend().iter();
        let mine: Vec<_> = mine
            .filter(|row| row.group == group.name && row.state != "leaving")
            .collect();
        let up = mine.iter().filter(|row| row.state == "up").count();
        let row = Row::new([
            group.name.clone(),
            group.policy.clone().unwrap_or("leaving".to_owned()),
            format!("{up} of {}", mine.len()),
            count(mine.iter().map(|row| row.requests).sum()),
            mine.iter()
                .map(|row| row.in_flight)
                .sum::<u64>()
                .to_string(),
            count(mine.iter().map(|row| row.failures).sum()),
            if group.panics { "panics" } else { "" }.to_owned(),
        ]);
        let is_trouble = group.panics || mine.iter().any(|row| row.state == "down");
        if is_trouble { row.red().bold() } else { row }
    });
    each.collect()
}

fn shards(now: &Overview) -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    for rule in &now.shards {
        for part in &rule.groups {
            let name = part.name.clone().unwrap_or("refused".to_owned());
            let share = format!("{:.2} %", 100.0 * part.share);
            rows.push(Row::new([
                rule.name.clone(),
                rule.function.clone(),
                name,
                share,
            ]));
        }
    }
    rows
}

fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn count(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", digits(value / 1e6)),
        size if size >= 1e4 => format!("{}k", digits(value / 1e3)),
        _ if value == value.trunc() => format!("{value:.0}"),
        _ => digits(value),
    }
}

fn bytes(value: f64) -> String {
    let mut size = value;
    for unit in ["B", "KiB", "MiB"] {
        if size < 1000.0 {
            return format!(
                "{} {unit}",
                if unit == "B" {
                    format!("{size:.0}")
                } else {
                    digits(size)
                }
            );
        }
        size /= 1024.0;
    }
    format!("{} GiB", digits(size))
}

fn micros(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 1e3 => format!("{value:.0}us"),
        Some(value) if value < 1e6 => format!("{}ms", digits(value / 1e3)),
        Some(value) => format!("{}s", digits(value / 1e6)),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}min", seconds / 60),
        3600..86400 => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}
