//! A radix tree from byte strings to numbers, for exact strings and for prefixes.
//!
//! One walk visits the numbers of every prefix of the input that is in the tree, and that of the
//! whole input. Inputs are iterators, so that a reversed or lower-cased string needs no copy.
//! Where a string is inserted twice the first number stays. Nodes are in one vector and refer to
//! each other by position; the depth is bounded by the longest string inserted.

/// No number.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    least: u32,
}

#[derive(Debug)]
struct Node {
    /// Bytes between the parent and here, the one the parent chooses by included.
    label: Box<[u8]>,
    /// Number of the string that ends here.
    exact: u32,
    /// Number of the prefix that ends here.
    prefix: u32,
    /// First byte of the label and position of each child, sorted.
    children: Vec<(u8, u32)>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            nodes: vec![Node::new(&[])],
            least: NONE,
        }
    }
}

impl Node {
    fn new(label: &[u8]) -> Self {
        Node {
            label: label.into(),
            exact: NONE,
            prefix: NONE,
            children: Vec::new(),
        }
    }
}

impl Tree {
    /// The least number in the tree, [`NONE`] if it is empty.
    pub(super) fn least(&self) -> u32 {
        self.least
    }

    /// Adds a whole string; the answer is its number, the older one if it has one.
    pub(super) fn insert_exact(&mut self, bytes: impl Iterator<Item = u8>, number: u32) -> u32 {
        let node = self.node_of(bytes);
        self.least = self.least.min(number);
        keep_first(&mut self.nodes[node].exact, number)
    }

    /// Adds a prefix; the answer is its number, the older one if it has one.
    pub(super) fn insert_prefix(&mut self, bytes: impl Iterator<Item = u8>, number: u32) -> u32 {
        let node = self.node_of(bytes);
        self.least = self.least.min(number);
        keep_first(&mut self.nodes[node].prefix, number)
    }

    /// Calls `visit` with the number of every prefix of `bytes` and of `bytes` as a whole.
    #[inline]
    pub(super) fn walk(&self, mut bytes: impl Iterator<Item = u8>, mut visit: impl FnMut(u32)) {
        let mut node = &self.nodes[0];
        loop {
            if node.prefix != NONE {
                visit(node.prefix);
            }
            let Some(byte) = bytes.next() else {
                if node.exact != NONE {
                    visit(node.exact);
                }
                return;
            };
            let Some(child) = self.child(node, byte) else {
                return;
            };
            node = child;
            for wanted in &node.label[1..] {
                if bytes.next() != Some(*wanted) {
                    return;
                }
            }
        }
    }

    /// Every string and every prefix with its number.
    pub(super) fn strings(&self) -> Vec<(Vec<u8>, u32)> {
        let mut found = Vec::new();
        let mut open = vec![(0_usize, Vec::new())];
        while let Some((position, mut bytes)) = open.pop() {
            let node = &self.nodes[position];
            bytes.extend_from_slice(&node.label);
            let numbers = [node.exact, node.prefix].into_iter();
            let numbers = numbers.filter(|number| *number != NONE);
            found.extend(numbers.map(|number| (bytes.clone(), number)));
            let children = node.children.iter();
            open.extend(children.map(|(_, child)| (*child as usize, bytes.clone())));
        }
        found
    }

    #[inline]
    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let place = node
            .children
            .binary_search_by_key(&byte, |child| child.0)
            .ok()?;
        Some(&self.nodes[node.children[place].1 as usize])
    }

    /// Position of the node where a string ends, made if it is not there.
    fn node_of(&mut self, bytes: impl Iterator<Item = u8>) -> usize {
        let bytes: Vec<u8> = bytes.collect();
        let mut rest = bytes.as_slice();
        let mut node = 0;
        while let Some(first) = rest.first() {
            let children = &self.nodes[node].children;
            match children.binary_search_by_key(first, |child| child.0) {
                Err(place) => {
                    let leaf = self.push(Node::new(rest));
                    self.nodes[node].children.insert(place, (*first, leaf));
                    return leaf as usize;
                }
                Ok(place) => {
                    node = children[place].1 as usize;
                    let label = &self.nodes[node].label;
                    let same = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
                    if same < label.len() {
                        self.split(node, same);
                    }
                    rest = &rest[same..];
                }
            }
        }
        node
    }

    /// Cuts the label of a node after `at` bytes; what the node held moves to a new child.
    fn split(&mut self, node: usize, at: usize) {
        let upper = Node::new(&self.nodes[node].label[..at]);
        let mut lower = std::mem::replace(&mut self.nodes[node], upper);
        lower.label = lower.label[at..].into();
        let first = lower.label[0];
        let position = self.push(lower);
        self.nodes[node].children.push((first, position));
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
    }
}

fn keep_first(place: &mut u32, number: u32) -> u32 {
    if *place == NONE {
        *place = number;
    }
    *place
}
