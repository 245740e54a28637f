//! Charts drawn from data, each with the same in a table.

use leptos::prelude::*;

use crate::chart::{self, HEIGHT, WIDTH};

/// One series of values over the slots.
#[derive(Clone)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// The class that gives it its look.
    pub class: &'static str,
    /// Its values; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

/// How series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lines with points.
    Lines,
    /// Bars, one series on top of the other.
    Stack,
}

/// A chart with its title, its axis, its legend and its table.
#[component]
pub fn Chart(
    /// Its title.
    title: String,
    /// One sentence that says what it shows.
    summary: String,
    /// The label of each slot.
    slots: Vec<String>,
    /// What is drawn.
    series: Vec<Series>,
    /// How it is drawn.
    shape: Shape,
    /// How values are written.
    write: fn(f64) -> String,
    /// The least the axis reaches up to.
    #[prop(default = 0.0)]
    at_least: f64,
    /// Slots in which something was expected and nothing came.
    gaps: Vec<bool>,
) -> impl IntoView {
    let count = slots.len();
    let highest = match shape {
        Shape::Lines => series.iter().flat_map(|one| &one.values).flatten().copied().fold(at_least, f64::max),
        Shape::Stack => (0..count)
            .map(|slot| series.iter().filter_map(|one| one.values.get(slot).copied().flatten()).sum())
            .fold(at_least, f64::max),
    };
    let top = chart::round_up(highest);
    let drawing = match shape {
        Shape::Lines => series.iter().map(|one| line(one, top)).collect_view().into_any(),
        Shape::Stack => stack(&series, count, top).into_any(),
    };
    let ends = slots.first().cloned().zip(slots.last().cloned());
    let label = format!("{title}. {summary}");
    let heading = title.clone();
    view! {
        <figure class="ds-card chart">
            <figcaption>
                <h3 class="ds-heading" data-size="2xs">{heading}</h3>
                <p class="subtle">{summary}</p>
                <ul class="plain-list legend">
                    {series.iter().map(|one| view! {
                        <li>
                            <svg viewBox="0 0 20 12" width="20" height="12" class=one.class aria-hidden="true" focusable="false">
                                {match shape {
                                    Shape::Lines => view! { <path d="M1 6h18" class="chart-line" /> }.into_any(),
                                    Shape::Stack => view! { <rect x="3" width="14" height="12" class="chart-bar" /> }.into_any(),
                                }}
                            </svg>
                            {one.name.clone()}
                        </li>
                    }).collect_view()}
                </ul>
            </figcaption>
            <div class="plot">
                <div class="axis" aria-hidden="true"><span>{write(top)}</span><span>{write(top / 2.0)}</span><span>{write(0.0)}</span></div>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=label>
                    {gap_marks(&gaps)}
                    <path d=format!("M0 .5H{WIDTH}M0 {}H{WIDTH}M0 {}H{WIDTH}", HEIGHT / 2.0, HEIGHT - 0.5) class="chart-grid" />
                    {drawing}
                </svg>
                {ends.map(|(first, last)| view! { <div class="axis-days" aria-hidden="true"><span>{first}</span><span>{last}</span></div> })}
            </div>
            {table(title, slots, series, gaps, write)}
        </figure>
    }
}

fn gap_marks(gaps: &[bool]) -> impl IntoView + use<> {
    let count = gaps.len();
    gaps.iter()
        .enumerate()
        .filter(|(_, gap)| **gap)
        .map(|(index, _)| {
            let (x, width) = chart::slot(index, count);
            view! { <rect x=x y="0" width=width height=HEIGHT class="chart-gap" /> }
        })
        .collect_view()
}

fn line(series: &Series, top: f64) -> impl IntoView + use<> {
    let path = chart::line(&series.values, top);
    let dots = chart::points(&series.values, top);
    view! {
        <g class=series.class>
            <path d=path class="chart-line" />
            <path d=dots class="chart-dots" />
        </g>
    }
}

fn stack(series: &[Series], count: usize, top: f64) -> impl IntoView + use<> {
    let mut base = vec![0.0; count];
    series
        .iter()
        .map(|one| {
            let bars = one
                .values
                .iter()
                .enumerate()
                .filter_map(|(index, value)| value.filter(|value| *value > 0.0).map(|value| (index, value)))
                .map(|(index, value)| {
                    let (x, width) = chart::slot(index, count);
                    let height = chart::height(value, top).max(1.5);
                    let y = HEIGHT - base[index] - height;
                    base[index] += height;
                    view! { <rect x=width.mul_add(0.14, x) y=y width=width * 0.72 height=height class="chart-bar" /> }
                })
                .collect_view();
            view! { <g class=one.class>{bars}</g> }
        })
        .collect_view()
}

fn table(
    title: String,
    slots: Vec<String>,
    series: Vec<Series>,
    gaps: Vec<bool>,
    write: fn(f64) -> String,
) -> impl IntoView {
    let header =
        series.iter().map(|one| view! { <th scope="col" class="number">{one.name.clone()}</th> }).collect_view();
    let mut gaps = gaps.into_iter().rev();
    let series: Vec<Vec<Option<f64>>> = series.into_iter().map(|one| one.values).collect();
    // The newest first, as everywhere else.
    let rows = slots
        .into_iter()
        .enumerate()
        .rev()
        .map(|(index, slot)| {
            let gap = gaps.next().unwrap_or(false);
            let cells = series
                .iter()
                .map(|one| {
                    let text = one.get(index).copied().flatten().map_or_else(|| "–".to_owned(), write);
                    view! { <td class="number">{text}</td> }
                })
                .collect_view();
            view! { <tr><th scope="row">{slot} {gap.then(|| view! { <span class="subtle">" · " {tr!(trends.gap)}</span> })}</th>{cells}</tr> }
        })
        .collect_view();
    view! {
        <details class="plain-details">
            <summary>{tr!(trends.as_table)}<span class="ds-sr-only">": " {title.clone()}</span></summary>
            <div class="scroll table-twin" role="group" aria-label=title tabindex="0">
                <table class="ds-table" data-size="sm">
                    <thead><tr><th scope="col">{tr!(trends.day)}</th>{header}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
}
