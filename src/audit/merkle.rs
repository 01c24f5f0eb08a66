//! The arithmetic of the tree (RFC 6962): hashes of leaves and nodes, which subtrees a proof is made of, and whether one holds. Pure.

use ring::digest::{SHA256, digest};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Levels of the tree in one level of tiles.
pub const TILE: u32 = 8;

/// A complete subtree of 2 to the power of `height` leaves: the `number`th of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub height: u32,
    pub number: u64,
}

pub fn leaf(data: &[u8]) -> Hash {
    sha256(&[&[0], data].concat())
}

pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_slice(), right].concat())
}

/// The root of a tree without leaves.
pub fn nothing() -> Hash {
    sha256(&[])
}

fn sha256(data: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, data).as_ref());
    hash
}

/// The complete subtrees that stand beside each other from leaf `from` up to `to`, for a range that is a subtree itself.
pub fn complete(mut from: u64, to: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    while from < to {
        let height = (to - from).ilog2();
        nodes.push(Node { height, number: from >> height });
        from += 1 << height;
    }
    nodes
}

/// The hash of a range, from those of the complete subtrees it consists of.
pub fn joined(hashes: &[Hash]) -> Hash {
    let mut from_the_right = hashes.iter().rev();
    let Some(last) = from_the_right.next() else { return nothing() };
    from_the_right.fold(*last, |right, left| node(left, &right))
}

/// The root of a complete subtree over hashes beside each other, whose number is a power of two.
pub fn folded(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.chunks(2).map(joined).collect();
    }
    hashes.pop().unwrap_or_else(nothing)
}

/// Where a tree of `leaves` divides: the largest power of two below.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The ranges whose hashes prove that a leaf is in a tree of this size, from the leaf up.
pub fn inclusion(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut from, mut to, mut ranges) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The ranges whose hashes prove that a tree of size `old` is the beginning of one of size `new`.
pub fn consistency(old: u64, new: u64) -> Vec<(u64, u64)> {
    let (mut from, mut to, mut ranges) = (0, new, Vec::new());
    if old == 0 || old >= new {
        return ranges;
    }
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
        }
    }
    if from > 0 {
        ranges.push((from, to));
    }
    ranges.reverse();
    ranges
}

/// The root that a proof of inclusion leads to; `None` where it has not as many hashes as it should.
pub fn root_by_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Hash> {
    let ranges = if index < size { inclusion(index, size) } else { return None };
    if ranges.len() != proof.len() {
        return None;
    }
    Some(ranges.iter().zip(proof).fold(
        leaf,
        |hash, ((from, _), other)| {
            if *from > index { node(&hash, other) } else { node(other, &hash) }
        },
    ))
}

/// Both roots that a proof of consistency leads to, given the old one; `None` where it has not as many hashes as it should.
pub fn roots_by_consistency(old: u64, new: u64, old_root: Hash, proof: &[Hash]) -> Option<(Hash, Hash)> {
    let ranges = consistency(old, new);
    if ranges.len() != proof.len() {
        return None;
    }
    let mut rest = ranges.iter().zip(proof);
    // Where the old tree is a subtree of the new one, its root is what the path begins with.
    let start = if old.is_power_of_two() || ranges.is_empty() { old_root } else { *rest.next()?.1 };
    let (mut was, mut is) = (start, start);
    for ((from, _), hash) in rest {
        if *from >= old {
            is = node(&is, hash);
        } else {
            (was, is) = (node(hash, &was), node(hash, &is));
        }
    }
    Some((was, is))
}

/// The right edge of a tree that grows: the complete subtrees it consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    hashes: Vec<Hash>,
}

impl Edge {
    /// From the hashes of [`complete`]`(0, size)`.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Self {
        Self { size, hashes }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    pub fn root(&self) -> Hash {
        joined(&self.hashes)
    }

    /// Adds a leaf's hash; answers the subtrees that became complete with it, from the leaf up.
    pub fn push(&mut self, leaf: Hash) -> Vec<(Node, Hash)> {
        let (mut hash, index) = (leaf, self.size);
        let mut completed = Vec::new();
        for height in 1..=(index + 1).trailing_zeros() {
            let left = self.hashes.pop().unwrap_or_else(nothing);
            hash = node(&left, &hash);
            completed.push((Node { height, number: index >> height }, hash));
        }
        self.hashes.push(hash);
        self.size += 1;
        completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// As the RFC defines it, word for word.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => nothing(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
                node(&root(left), &root(right))
            }
        }
    }

    fn of(leaves: &[Hash], ranges: &[(u64, u64)]) -> Vec<Hash> {
        ranges.iter().map(|(from, to)| root(&leaves[*from as usize..*to as usize])).collect()
    }

    #[test]
    fn known_answers() {
        let hex = |hash: Hash| hex::encode(hash);
        assert_eq!(hex(nothing()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        // The trees of the reference implementation of Certificate Transparency.
        let inputs: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let of_three = root(&inputs.map(leaf));
        assert_eq!(hex(of_three), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    }

    #[test]
    fn every_proof_of_every_small_tree_holds_and_no_other() {
        let all = leaves(70);
        let mut edge = Edge::default();
        for size in 1..=all.len() {
            edge.push(all[size - 1]);
            let (tree, root_of_tree) = (&all[..size], root(&all[..size]));
            assert_eq!((edge.root(), edge.size()), (root_of_tree, size as u64));
            assert_eq!(edge.hashes(), of(tree, &complete(0, size as u64).iter().map(range).collect::<Vec<_>>()));
            for index in 0..size {
                let (at, of_size) = (index as u64, size as u64);
                let proof = of(tree, &inclusion(at, of_size));
                assert_eq!(root_by_inclusion(at, of_size, all[index], &proof), Some(root_of_tree));
                assert_ne!(root_by_inclusion(at, of_size, leaf(b"another"), &proof), Some(root_of_tree));
                assert_eq!(
                    root_by_inclusion(at, of_size, all[index], &[proof.as_slice(), &[nothing()]].concat()),
                    None
                );
                let old = at + 1;
                let proof = of(tree, &consistency(old, of_size));
                let roots = roots_by_consistency(old, of_size, root(&all[..old as usize]), &proof);
                assert_eq!(roots, Some((root(&all[..old as usize]), root_of_tree)), "{old} of {size}");
            }
        }
        assert_eq!(root_by_inclusion(3, 3, all[2], &[]), None);
    }

    fn range(node: &Node) -> (u64, u64) {
        (node.number << node.height, (node.number + 1) << node.height)
    }

    #[test]
    fn what_becomes_complete_is_what_stands_there() {
        let all = leaves(64);
        let mut edge = Edge::default();
        for one in &all {
            for (node, hash) in edge.push(*one) {
                let (from, to) = range(&node);
                assert_eq!(hash, folded(all[from as usize..to as usize].to_vec()));
            }
        }
        assert_eq!(edge.root(), folded(all));
    }
}
