//! The graph as a picture: one row per task, the most important at the bottom.
//!
//! SENDs are arcs on the right and all point down, hints are arcs on the left
//! and all point up: that there is no cycle of waiting can be seen. The
//! supervisor's edges are said in words, because they go to everyone.

use app::{App, Edge, Graph, Owner, TaskIndex};
use std::fmt::Write;

const ROW: i32 = 74;
const BOX_WIDTH: i32 = 330;
const BOX_HEIGHT: i32 = 46;
const LEFT: i32 = 300;
const TOP: i32 = 108;
const WIDTH: i32 = 2 * LEFT + BOX_WIDTH;
/// How far an arc swings out per row that it spans.
const SWING: i32 = 42;
/// Room that an arc's end has at a box.
const PORT: i32 = 7;

/// Hues of the servers, so that arcs to one server can be told from others.
const HUES: [&str; 8] =
    ["#0b7285", "#5f3dc4", "#2b8a3e", "#c2255c", "#e8590c", "#1864ab", "#862e9c", "#5c940d"];

const STYLE: &str = "\
    svg { background: #fcfcfa; font-family: 'Inter', 'Helvetica Neue', Arial, sans-serif; }\n\
    .task { fill: #ffffff; stroke: #343a40; stroke-width: 1.4; }\n\
    .supervisor { fill: #fff4e6; stroke: #d9480f; }\n\
    .name { font-size: 16px; font-weight: 600; fill: #212529; }\n\
    .note { font-size: 11.5px; fill: #6c757d; }\n\
    .rank { font-size: 12px; fill: #868e96; text-anchor: middle; }\n\
    .title { font-size: 22px; font-weight: 700; fill: #212529; }\n\
    .send { fill: none; stroke-width: 2.2; }\n\
    .hint { fill: none; stroke-width: 1.6; stroke-dasharray: 5 4; }\n\
    @media (prefers-color-scheme: dark) {\n\
      svg { background: #16181b; }\n\
      .task { fill: #212529; stroke: #adb5bd; }\n\
      .supervisor { fill: #2b2015; stroke: #ff922b; }\n\
      .name, .title { fill: #f1f3f5; }\n\
      .note, .rank { fill: #adb5bd; }\n\
    }\n";

/// The picture.
pub(super) fn draw(app: &App) -> String {
    let graph = Graph::of(app);
    let rows = app.tasks.len() as i32;
    let height = TOP + rows * ROW + 70;
    let mut svg = String::new();
    let out = &mut svg;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}: who may send to whom</title>", escape(&app.name));
    let _ = writeln!(out, "<style>\n{STYLE}</style>");
    markers(out);
    let middle = WIDTH / 2;
    text(out, "title", middle, 40, "middle", &format!("{} on {}", app.name, app.board));
    let right = LEFT + BOX_WIDTH + 24;
    text(out, "note", right, 78, "start", "SEND: the client waits for the reply");
    text(out, "note", LEFT - 24, 78, "end", "hint: waits for nobody");
    for edge in &graph.edges {
        arcs(out, app, edge);
    }
    for (index, _) in app.indexed() {
        task(out, app, index);
    }
    let foot = "Anyone may send to jefe; jefe sends to the kernel alone and hints all above it.";
    text(out, "note", middle, TOP + rows * ROW + 12, "middle", foot);
    let foot = "Every solid arrow points down, so no chain of waiting tasks comes back.";
    text(out, "note", middle, TOP + rows * ROW + 32, "middle", foot);
    let _ = writeln!(out, "</svg>");
    svg
}

/// The middle of a task's row; the most important is the lowest.
fn row(app: &App, task: TaskIndex) -> i32 {
    TOP + (app.tasks.len() as i32 - 1 - i32::from(task.0)) * ROW + BOX_HEIGHT / 2
}

fn hue(server: TaskIndex) -> usize {
    usize::from(server.0) % HUES.len()
}

fn markers(out: &mut String) {
    let _ = writeln!(out, "<defs>");
    for (n, hue) in HUES.iter().enumerate() {
        let _ = writeln!(
            out,
            "<marker id=\"m{n}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
             markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
             <path d=\"M0 0L10 5L0 10z\" fill=\"{hue}\"/></marker>"
        );
    }
    let _ = writeln!(out, "</defs>");
}

fn arcs(out: &mut String, app: &App, edge: &Edge) {
    let span = i32::from(edge.client.0) - i32::from(edge.server.0);
    let (from, to) = (row(app, edge.client) + PORT, row(app, edge.server) - PORT);
    let (n, colour) = (hue(edge.server), HUES[hue(edge.server)]);
    let names = format!("{} → {}", app.task(edge.client).name, app.task(edge.server).name);
    let x = LEFT + BOX_WIDTH;
    let out_x = x + 18 + SWING * span;
    let _ = writeln!(
        out,
        "<path class=\"send\" stroke=\"{colour}\" marker-end=\"url(#m{n})\" \
         d=\"M{x} {from}C{out_x} {from} {out_x} {to} {x} {to}\"><title>{names}</title></path>"
    );
    if let Some(bit) = &edge.hint {
        let x = LEFT;
        let out_x = x - 18 - SWING * span;
        let _ = writeln!(
            out,
            "<path class=\"hint\" stroke=\"{colour}\" marker-end=\"url(#m{n})\" \
             d=\"M{x} {to}C{out_x} {to} {out_x} {from} {x} {from}\">\
             <title>{} hints {}: {bit}</title></path>",
            app.task(edge.server).name,
            app.task(edge.client).name
        );
    }
}

fn task(out: &mut String, app: &App, index: TaskIndex) {
    let task = app.task(index);
    let y = row(app, index) - BOX_HEIGHT / 2;
    let class = if index.0 == 0 { "task supervisor" } else { "task" };
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{BOX_WIDTH}\" \
         height=\"{BOX_HEIGHT}\" rx=\"9\"/>"
    );
    text(out, "rank", LEFT + 20, y + 28, "middle", &index.0.to_string());
    let owned = owns(app, index);
    let name_y = if owned.is_empty() { y + 28 } else { y + 21 };
    text(out, "name", LEFT + 42, name_y, "start", &task.name);
    text(out, "note", LEFT + 42, y + 37, "start", &owned);
}

/// The registers and pools that the task has for itself.
fn owns(app: &App, index: TaskIndex) -> String {
    let registers = app.task(index).uses.iter().map(|used| used.name.as_str());
    let pools = app
        .pools
        .iter()
        .filter(|pool| pool.owner == Owner::Task(index))
        .map(|pool| pool.name.as_str());
    let all: Vec<&str> = registers.filter(|&name| !shared(app, name)).chain(pools).collect();
    all.join(" · ")
}

fn shared(app: &App, peripheral: &str) -> bool {
    app.tasks.iter().filter(|task| task.peripheral(peripheral).is_some()).count() > 1
}

fn text(out: &mut String, class: &str, x: i32, y: i32, anchor: &str, text: &str) {
    if !text.is_empty() {
        let text = escape(text);
        let _ = writeln!(
            out,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::draw;
    use app::{App, Graph};

    #[test]
    fn the_picture_has_a_box_per_task_and_an_arc_per_edge() {
        let app = App::load(&crate::root().join("app.toml")).unwrap_or_else(|e| panic!("{e}"));
        let (svg, graph) = (draw(&app), Graph::of(&app));
        assert_eq!(svg.matches("<rect").count(), app.tasks.len());
        assert_eq!(svg.matches("class=\"send\"").count(), graph.edges.len());
        let hints = graph.edges.iter().filter(|edge| edge.hint.is_some()).count();
        assert_eq!(svg.matches("class=\"hint\"").count(), hints);
    }
}
