//! The tree of panes: leaves show a channel, splits share their room out to the right or downwards.
//!
//! Pure: numbers of cells in, numbers of cells out. It knows nothing of channels but their ids, and nothing of what is
//! drawn in a pane. Panes are numbered from 0 in reading order: a split's parts one after the other.

use serde::{Deserialize, Serialize};

use crate::wire::ChannelId;

/// The most panes: more of them show nothing that can be read.
pub const MOST_PANES: usize = 16;
/// The fewest columns of a pane.
pub const LEAST_WIDTH: u16 = 24;
/// The fewest rows of a pane, its title bar included.
pub const LEAST_HEIGHT: u16 = 4;
/// The share of a part that nobody changed.
const USUAL_SHARE: u16 = 1_000;
/// The cells of the area on which neighbours are looked for: every layout fits it.
const NOMINAL: Area = Area {
    x: 0,
    y: 0,
    width: 4_800,
    height: 4_800,
};

/// A pane, or a share of the room that several panes have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A pane with its channel; without one it is empty.
    Pane(Option<ChannelId>),
    /// Parts side by side or one below the other, two at least.
    Split {
        /// In which direction the parts follow each other.
        along: Along,
        /// The parts in reading order.
        parts: Vec<Part>,
    },
}

/// In which direction the parts of a split follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// Side by side.
    Right,
    /// One below the other.
    Below,
}

/// One part of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its share of the room, in proportion to the others'.
    pub share: u16,
    /// What it holds.
    pub node: Node,
}

impl Part {
    fn new(node: Node) -> Self {
        Self {
            share: USUAL_SHARE,
            node,
        }
    }
}

/// A direction to go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the left.
    Left,
    /// Downwards.
    Down,
    /// Upwards.
    Up,
    /// To the right.
    Right,
}

/// A part of the screen, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Area {
    /// The first column.
    pub x: u16,
    /// The first row.
    pub y: u16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Where panes are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrangement {
    /// The panes that have room, by number, each with its title bar in the first row.
    pub panes: Vec<(usize, Area)>,
    /// The columns between panes side by side, each one cell wide.
    pub dividers: Vec<Area>,
}

impl Default for Node {
    fn default() -> Self {
        Self::Pane(None)
    }
}

impl Node {
    /// Rows of so many panes each, all of the same size.
    #[must_use]
    pub fn grid(rows: &[usize]) -> Self {
        let row = |panes: usize| match panes {
            0 | 1 => Self::Pane(None),
            panes => Self::Split {
                along: Along::Right,
                parts: (0..panes).map(|_| Part::new(Self::Pane(None))).collect(),
            },
        };
        match rows {
            [] => Self::Pane(None),
            [panes] => row(*panes),
            rows => Self::Split {
                along: Along::Below,
                parts: rows.iter().map(|panes| Part::new(row(*panes))).collect(),
            },
        }
    }

    /// How many panes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Pane(_) => 1,
            Self::Split { parts, .. } => parts.iter().map(|part| part.node.count()).sum(),
        }
    }

    /// The channels of the panes by number.
    #[must_use]
    pub fn channels(&self) -> Vec<Option<&ChannelId>> {
        let mut found = Vec::new();
        self.each(&mut |channel| found.push(channel));
        found
    }

    fn each<'a>(&'a self, take: &mut impl FnMut(Option<&'a ChannelId>)) {
        match self {
            Self::Pane(channel) => take(channel.as_ref()),
            Self::Split { parts, .. } => parts.iter().for_each(|part| part.node.each(take)),
        }
    }

    /// The channel of a pane; `None`: it is empty, or there is no such pane.
    #[must_use]
    pub fn channel(&self, number: usize) -> Option<&ChannelId> {
        match self {
            Self::Pane(channel) => channel.as_ref().filter(|_| number == 0),
            Self::Split { parts, .. } => {
                let (at, within) = part_of(parts, number)?;
                parts.get(at)?.node.channel(within)
            }
        }
    }

    /// The pane that shows a channel.
    #[must_use]
    pub fn find(&self, id: &ChannelId) -> Option<usize> {
        match self {
            Self::Pane(channel) => (channel.as_ref() == Some(id)).then_some(0),
            Self::Split { parts, .. } => {
                let mut before = 0;
                for part in parts {
                    if let Some(found) = part.node.find(id) {
                        return Some(before + found);
                    }
                    before += part.node.count();
                }
                None
            }
        }
    }

    /// The first pane without a channel.
    #[must_use]
    pub fn first_empty(&self) -> Option<usize> {
        self.channels().iter().position(Option::is_none)
    }

    /// Changes what a pane shows.
    pub fn put(&mut self, number: usize, channel: Option<ChannelId>) {
        if let Some(Self::Pane(shown)) = self.node_mut(number) {
            *shown = channel;
        }
    }

    /// Changes what every pane shows; the change is handed its number.
    pub fn put_all(&mut self, mut change: impl FnMut(usize, &mut Option<ChannelId>)) {
        fn walk(node: &mut Node, number: &mut usize, change: &mut impl FnMut(usize, &mut Option<ChannelId>)) {
            match node {
                Node::Pane(channel) => {
                    change(*number, channel);
                    *number += 1;
                }
                Node::Split { parts, .. } => {
                    for part in parts {
                        walk(&mut part.node, number, change);
                    }
                }
            }
        }
        walk(self, &mut 0, &mut change);
    }

    fn node_mut(&mut self, number: usize) -> Option<&mut Self> {
        match self {
            Self::Pane(_) => (number == 0).then_some(self),
            Self::Split { parts, .. } => {
                let (at, within) = part_of(parts, number)?;
                parts.get_mut(at)?.node.node_mut(within)
            }
        }
    }

    /// Splits a pane in two halves; the second one is empty and has the next number. `false`: there are enough.
    pub fn split(&mut self, number: usize, along: Along) -> bool {
        if self.count() >= MOST_PANES {
            return false;
        }
        self.split_pane(number, along)
    }

    fn split_pane(&mut self, number: usize, along: Along) -> bool {
        match self {
            Self::Pane(channel) => {
                if number > 0 {
                    return false;
                }
                let first = Self::Pane(channel.take());
                *self = Self::Split {
                    along,
                    parts: vec![Part::new(first), Part::new(Self::Pane(None))],
                };
                true
            }
            Self::Split { along: own, parts } => {
                let Some((at, within)) = part_of(parts, number) else {
                    return false;
                };
                let Some(part) = parts.get_mut(at) else { return false };
                if *own == along && matches!(part.node, Self::Pane(_)) {
                    let half = (part.share / 2).max(1);
                    part.share = half;
                    let new = Part {
                        share: half,
                        node: Self::Pane(None),
                    };
                    parts.insert(at + 1, new);
                    return true;
                }
                part.node.split_pane(within, along)
            }
        }
    }

    /// Closes a pane; the last one stays. `false`: there is no such pane, or no other one.
    pub fn close(&mut self, number: usize) -> bool {
        let Self::Split { parts, .. } = self else { return false };
        let Some((at, within)) = part_of(parts, number) else {
            return false;
        };
        let is_pane = matches!(parts.get(at).map(|part| &part.node), Some(Self::Pane(_)));
        if is_pane {
            parts.remove(at);
        } else if !parts.get_mut(at).is_some_and(|part| part.node.close(within)) {
            return false;
        }
        if parts.len() == 1
            && let Some(last) = parts.pop()
        {
            *self = last.node;
        }
        true
    }

    /// Shares the room out evenly.
    pub fn even(&mut self) {
        if let Self::Split { parts, .. } = self {
            for part in parts {
                part.share = USUAL_SHARE;
                part.node.even();
            }
        }
    }

    /// Gives a pane more of the room in a direction (or less of it). `false`: nothing is beside it there.
    pub fn grow(&mut self, number: usize, direction: Along, more: bool) -> bool {
        let Self::Split { along, parts } = self else {
            return false;
        };
        let Some((at, within)) = part_of(parts, number) else {
            return false;
        };
        let own = *along;
        let Some(part) = parts.get_mut(at) else { return false };
        if part.node.grow(within, direction, more) {
            return true;
        }
        if own != direction {
            return false;
        }
        let share = u32::from(part.share);
        let changed = if more { share * 5 / 4 } else { share * 4 / 5 };
        part.share = u16::try_from(changed.clamp(50, 20_000)).unwrap_or(USUAL_SHARE);
        true
    }

    /// The most panes that stand side by side.
    #[must_use]
    pub fn columns(&self) -> usize {
        match self {
            Self::Pane(_) => 1,
            Self::Split {
                along: Along::Right,
                parts,
            } => parts.iter().map(|part| part.node.columns()).sum(),
            Self::Split { parts, .. } => parts.iter().map(|part| part.node.columns()).max().unwrap_or(1),
        }
    }

    /// The layout in a word or two: `2x2` for rows of equal length, else the number of panes.
    #[must_use]
    pub fn words(&self) -> String {
        let row = |node: &Self| match node {
            Self::Pane(_) => Some(1),
            Self::Split {
                along: Along::Right,
                parts,
            } if parts.iter().all(|part| matches!(part.node, Self::Pane(_))) => Some(parts.len()),
            Self::Split { .. } => None,
        };
        let grid = match self {
            Self::Split {
                along: Along::Below,
                parts,
            } => {
                let columns: Vec<Option<usize>> = parts.iter().map(|part| row(&part.node)).collect();
                columns
                    .first()
                    .copied()
                    .flatten()
                    .filter(|first| columns.iter().all(|columns| *columns == Some(*first)))
                    .map(|columns| (columns, parts.len()))
            }
            node => row(node).map(|columns| (columns, 1)),
        };
        match grid {
            Some((columns, rows)) => format!("grid {columns}x{rows}"),
            None => format!("{} panes", self.count()),
        }
    }

    /// Whether it can be worked with: what was written down may have been changed by hand.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        fn sound(node: &Node, depth: usize) -> bool {
            match node {
                Node::Pane(_) => true,
                Node::Split { parts, .. } => {
                    depth < MOST_PANES
                        && (2..=MOST_PANES).contains(&parts.len())
                        && parts.iter().all(|part| part.share > 0 && sound(&part.node, depth + 1))
                }
            }
        }
        sound(self, 0) && self.count() <= MOST_PANES
    }

    /// Where the panes are in an area. Where they do not all fit, those that do are placed, the pane `focus` always.
    #[must_use]
    pub fn arrange(&self, area: Area, focus: usize) -> Arrangement {
        let mut arrangement = Arrangement::default();
        self.place(area, 0, focus, &mut arrangement);
        arrangement
    }

    fn place(&self, area: Area, first: usize, focus: usize, out: &mut Arrangement) {
        let (along, parts) = match self {
            Self::Pane(_) => {
                out.panes.push((first, area));
                return;
            }
            Self::Split { along, parts } => (*along, parts),
        };
        // Panes one below the other are parted by the title bar of the lower one.
        let (length, gap, least) = match along {
            Along::Right => (area.width, 1, LEAST_WIDTH),
            Along::Below => (area.height, 0, LEAST_HEIGHT),
        };
        let mut numbers = Vec::with_capacity(parts.len());
        let mut number = first;
        for part in parts {
            numbers.push(number);
            number += part.node.count();
        }
        let focused = numbers.iter().rposition(|number| *number <= focus).unwrap_or(0);
        let gaps = |parts: usize| gap * u16::try_from(parts.saturating_sub(1)).unwrap_or(0);
        let wanted: Vec<u16> = parts.iter().map(|part| part.node.least(along)).collect();
        let all_fit = wanted
            .iter()
            .fold(gaps(parts.len()), |sum, least| sum.saturating_add(*least))
            <= length;
        let (kept, floors) = if all_fit {
            (0..parts.len(), wanted)
        } else {
            let room = usize::from((length + gap) / (least + gap)).clamp(1, parts.len());
            let from = (focused + 1).saturating_sub(room);
            (from..from + room, vec![least; parts.len()])
        };
        let shares: Vec<(u16, u16)> = kept
            .clone()
            .filter_map(|at| Some((parts.get(at)?.share, *floors.get(at)?)))
            .collect();
        let lengths = share_out(length.saturating_sub(gaps(shares.len())), &shares);
        let mut from = 0;
        for (place, at) in kept.clone().enumerate() {
            let (Some(part), Some(number), Some(own)) = (parts.get(at), numbers.get(at), lengths.get(place)) else {
                continue;
            };
            let room = match along {
                Along::Right => Area {
                    x: area.x + from,
                    width: *own,
                    ..area
                },
                Along::Below => Area {
                    y: area.y + from,
                    height: *own,
                    ..area
                },
            };
            part.node.place(room, *number, focus, out);
            from += own;
            if gap > 0 && place + 1 < shares.len() {
                out.dividers.push(Area {
                    x: area.x + from,
                    width: 1,
                    ..area
                });
            }
            from += gap;
        }
    }

    /// The cells that all of its panes need in a direction.
    fn least(&self, along: Along) -> u16 {
        let (leaf, gap) = match along {
            Along::Right => (LEAST_WIDTH, 1),
            Along::Below => (LEAST_HEIGHT, 0),
        };
        match self {
            Self::Pane(_) => leaf,
            Self::Split { along: own, parts } if *own == along => parts
                .iter()
                .map(|part| part.node.least(along).saturating_add(gap))
                .fold(0, u16::saturating_add)
                .saturating_sub(gap),
            Self::Split { parts, .. } => parts.iter().map(|part| part.node.least(along)).max().unwrap_or(leaf),
        }
    }

    /// The pane beside another one; of several the one that shares most of the border, the first of equals.
    #[must_use]
    pub fn neighbour(&self, number: usize, direction: Direction) -> Option<usize> {
        let panes = self.arrange(NOMINAL, number).panes;
        let (_, own) = panes.iter().find(|(of, _)| *of == number)?;
        let end = |from: u16, length: u16| from.saturating_add(length);
        let overlap = |from: u16, length: u16, other: u16, others: u16| {
            end(from, length)
                .min(end(other, others))
                .saturating_sub(from.max(other))
        };
        // The divider between panes side by side is one cell wide.
        let touches = |before: u16, after: u16| after.abs_diff(before) <= 1;
        panes
            .iter()
            .filter(|(of, _)| *of != number)
            .filter_map(|(of, area)| {
                let beside = match direction {
                    Direction::Left => touches(end(area.x, area.width), own.x),
                    Direction::Right => touches(end(own.x, own.width), area.x),
                    Direction::Up => touches(end(area.y, area.height), own.y),
                    Direction::Down => touches(end(own.y, own.height), area.y),
                };
                let shared = match direction {
                    Direction::Left | Direction::Right => overlap(own.y, own.height, area.y, area.height),
                    Direction::Up | Direction::Down => overlap(own.x, own.width, area.x, area.width),
                };
                (beside && shared > 0).then_some((*of, shared))
            })
            .max_by_key(|(of, shared)| (*shared, std::cmp::Reverse(*of)))
            .map(|(of, _)| of)
    }
}

/// The part that a pane belongs to, and its number within it.
fn part_of(parts: &[Part], number: usize) -> Option<(usize, usize)> {
    let mut left = number;
    for (at, part) in parts.iter().enumerate() {
        let count = part.node.count();
        if left < count {
            return Some((at, left));
        }
        left -= count;
    }
    None
}

/// Shares a length out in proportion, each part with its floor at least while the length is enough for the floors.
fn share_out(length: u16, parts: &[(u16, u16)]) -> Vec<u16> {
    let shares: u64 = parts.iter().map(|(share, _)| u64::from(*share)).sum::<u64>().max(1);
    let mut lengths = Vec::with_capacity(parts.len());
    let (mut sum, mut given) = (0_u64, 0_u16);
    for (share, _) in parts {
        sum += u64::from(*share);
        // Rounded where the part ends, so that the same shares have the same borders in every row of a grid.
        let until = u16::try_from(u64::from(length) * sum / shares).unwrap_or(length);
        lengths.push(until.saturating_sub(given));
        given = until;
    }
    loop {
        let short = (0..parts.len()).find(|at| lengths[*at] < parts[*at].1);
        let rich = (0..parts.len())
            .filter(|at| lengths[*at] > parts[*at].1)
            .max_by_key(|at| lengths[*at] - parts[*at].1);
        let (Some(short), Some(rich)) = (short, rich) else {
            return lengths;
        };
        let moved = (parts[short].1 - lengths[short]).min(lengths[rich] - parts[rich].1);
        lengths[short] += moved;
        lengths[rich] -= moved;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area(width: u16, height: u16) -> Area {
        Area {
            x: 0,
            y: 1,
            width,
            height,
        }
    }

    #[test]
    fn grids_fill_their_area_with_aligned_columns() {
        let grid = Node::grid(&[3, 3, 3]);
        let placed = grid.arrange(area(120, 36), 4);
        assert_eq!(
            (grid.count(), grid.columns(), grid.words().as_str()),
            (9, 3, "grid 3x3")
        );
        assert_eq!(placed.panes.len(), 9);
        let columns: Vec<u16> = placed.dividers.iter().map(|divider| divider.x).collect();
        assert_eq!(columns, [39, 79, 39, 79, 39, 79]);
        assert_eq!(
            placed.panes[8].1,
            Area {
                x: 80,
                y: 25,
                width: 40,
                height: 12
            }
        );
        assert_eq!(Node::grid(&[3, 2]).words(), "5 panes");
        assert_eq!(Node::grid(&[2]).words(), "grid 2x1");
    }

    #[test]
    fn splitting_and_closing_go_and_come_back() {
        let mut node = Node::default();
        assert!(node.split(0, Along::Right) && node.split(1, Along::Below) && node.split(2, Along::Below));
        assert_eq!((node.count(), node.words().as_str()), (4, "4 panes"));
        let heights: Vec<u16> = node
            .arrange(area(101, 40), 0)
            .panes
            .iter()
            .map(|(_, area)| area.height)
            .collect();
        assert_eq!(heights, [40, 20, 10, 10], "a half each time");
        node.even();
        let heights: Vec<u16> = node
            .arrange(area(101, 39), 0)
            .panes
            .iter()
            .map(|(_, area)| area.height)
            .collect();
        assert_eq!(heights, [39, 13, 13, 13]);
        assert!(node.grow(1, Along::Right, true));
        let placed = node.arrange(area(101, 39), 0).panes;
        assert!(placed[1].1.width > placed[0].1.width, "{placed:?}");
        assert!(node.close(3) && node.close(2) && node.close(1) && !node.close(0));
        assert_eq!(node, Node::default());
    }

    #[test]
    fn neighbours_are_those_that_are_seen_there() {
        let grid = Node::grid(&[2, 2]);
        let go = |number, direction| grid.neighbour(number, direction);
        assert_eq!(go(0, Direction::Right), Some(1));
        assert_eq!(go(0, Direction::Down), Some(2));
        assert_eq!(go(3, Direction::Left), Some(2));
        assert_eq!(go(3, Direction::Up), Some(1));
        assert_eq!(go(0, Direction::Left), None);
        assert_eq!(go(0, Direction::Up), None);
    }

    #[test]
    fn too_small_an_area_holds_those_that_fit_and_the_focused_one() {
        for (width, height, expected) in [
            (80, 20, vec![0, 1, 2, 3]),
            (40, 20, vec![1, 3]),
            (80, 7, vec![2, 3]),
            (40, 6, vec![3]),
        ] {
            let placed = Node::grid(&[2, 2]).arrange(area(width, height), 3);
            let numbers: Vec<usize> = placed.panes.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, expected, "{width}x{height}");
        }
    }

    #[test]
    fn it_is_written_down_and_read_again() {
        let mut node = Node::grid(&[2, 1]);
        node.put(1, Some(ChannelId::from_random([1; 18])));
        let text = serde_json::to_string(&node).expect("written");
        assert_eq!(serde_json::from_str::<Node>(&text).expect("read"), node);
        assert!(node.is_sound());
        let broken = Node::Split {
            along: Along::Right,
            parts: vec![Part::new(Node::default())],
        };
        assert!(!broken.is_sound());
    }

    proptest! {
        #[test]
        fn panes_never_overlap_and_never_leave_their_area(
            steps in prop::collection::vec((0_usize..16, 0_u8..4), 0..30),
            width in 1_u16..220, height in 1_u16..70, focus in 0_usize..16,
        ) {
            let mut node = Node::default();
            for (number, step) in steps {
                match step {
                    0 => { node.split(number, Along::Right); }
                    1 => { node.split(number, Along::Below); }
                    2 => { node.close(number); }
                    _ => { node.grow(number, Along::Below, true); }
                }
            }
            prop_assert!(node.is_sound());
            let focus = focus % node.count();
            let whole = area(width, height);
            let placed = node.arrange(whole, focus);
            prop_assert!(placed.panes.iter().any(|(number, _)| *number == focus));
            let mut cells = std::collections::HashSet::new();
            for area in placed.panes.iter().map(|(_, area)| area).chain(&placed.dividers) {
                for x in area.x..area.x + area.width {
                    for y in area.y..area.y + area.height {
                        prop_assert!(x < width && y <= height, "{:?}", placed);
                        prop_assert!(cells.insert((x, y)), "twice {} {}: {:?}", x, y, placed);
                    }
                }
            }
            prop_assert_eq!(cells.len(), usize::from(width) * usize::from(height));
        }
    }
}
