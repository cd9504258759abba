//! The edges between tasks.

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Reversed};

/// The place of a task in its DAG's list, which is sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskIndex(u32);

impl TaskIndex {
    /// The task at this place.
    #[must_use]
    pub(crate) fn new(place: usize) -> Self {
        // A spec has at most 2,000 tasks.
        Self(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// The place, from 0.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    fn node(self) -> NodeIndex {
        NodeIndex::new(self.get())
    }
}

/// An acyclic graph over the tasks of one DAG; an edge leads from a task to one that needs it.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: DiGraph<(), ()>,
    order: Vec<TaskIndex>,
    upstream: Vec<Vec<TaskIndex>>,
    downstream: Vec<Vec<TaskIndex>>,
}

impl Graph {
    /// The graph with `tasks` nodes and these edges, each once.
    ///
    /// # Errors
    ///
    /// One shortest cycle through the first task of each cyclic part, in the direction of the
    /// edges, where there is any.
    pub(crate) fn new(
        tasks: usize,
        edges: impl IntoIterator<Item = (TaskIndex, TaskIndex)>,
    ) -> Result<Self, Vec<Vec<TaskIndex>>> {
        let mut graph = DiGraph::with_capacity(tasks, 0);
        for _ in 0..tasks {
            graph.add_node(());
        }
        let mut upstream = vec![Vec::new(); tasks];
        let mut downstream = vec![Vec::new(); tasks];
        for (from, to) in edges {
            graph.add_edge(from.node(), to.node(), ());
            upstream[to.get()].push(from);
            downstream[from.get()].push(to);
        }
        upstream
            .iter_mut()
            .chain(&mut downstream)
            .for_each(|list| list.sort_unstable());
        match toposort(&graph, None) {
            Ok(order) => {
                let order = order
                    .into_iter()
                    .map(|node| TaskIndex::new(node.index()))
                    .collect();
                Ok(Self {
                    graph,
                    order,
                    upstream,
                    downstream,
                })
            }
            Err(_) => Err(cycles(&graph, &downstream)),
        }
    }

    /// The tasks in an order in which each comes after all that it needs.
    #[must_use]
    pub fn order(&self) -> &[TaskIndex] {
        &self.order
    }

    /// The tasks that `task` needs directly, in order of their place.
    #[must_use]
    pub fn upstream(&self, task: TaskIndex) -> &[TaskIndex] {
        &self.upstream[task.get()]
    }

    /// The tasks that need `task` directly, in order of their place.
    #[must_use]
    pub fn downstream(&self, task: TaskIndex) -> &[TaskIndex] {
        &self.downstream[task.get()]
    }

    /// All tasks that `task` needs, directly or not, without itself, in order of their place.
    #[must_use]
    pub fn ancestors(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let reversed = Reversed(&self.graph);
        let mut search = Dfs::new(reversed, task.node());
        closure(task, std::iter::from_fn(|| search.next(reversed)))
    }

    /// All tasks that need `task`, directly or not, without itself, in order of their place.
    #[must_use]
    pub fn descendants(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let mut search = Dfs::new(&self.graph, task.node());
        closure(task, std::iter::from_fn(|| search.next(&self.graph)))
    }

    /// The tasks that no other task needs.
    pub fn leaves(&self) -> impl Iterator<Item = TaskIndex> + '_ {
        (0..self.downstream.len())
            .filter(|place| self.downstream[*place].is_empty())
            .map(TaskIndex::new)
    }

    /// The number of edges.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.graph.edge_count()
    }
}

fn closure(task: TaskIndex, nodes: impl Iterator<Item = NodeIndex>) -> Vec<TaskIndex> {
    let mut found: Vec<_> = nodes
        .map(|node| TaskIndex::new(node.index()))
        .filter(|found| *found != task)
        .collect();
    found.sort_unstable();
    found
}

/// One shortest cycle through the first task of each strongly connected part with more than one.
fn cycles(graph: &DiGraph<(), ()>, downstream: &[Vec<TaskIndex>]) -> Vec<Vec<TaskIndex>> {
    let mut parts: Vec<_> = tarjan_scc(graph)
        .into_iter()
        .filter(|part| part.len() > 1)
        .collect();
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts.sort_unstable();
    parts
        .iter()
        .map(|part| shortest_cycle(TaskIndex::new(part[0].index()), downstream))
        .collect()
}

/// The shortest way from `start` back to itself, breadth first; `start` lies on a cycle.
fn shortest_cycle(start: TaskIndex, downstream: &[Vec<TaskIndex>]) -> Vec<TaskIndex> {
    let mut came_from = vec![None; downstream.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(task) = queue.pop_front() {
        for &next in &downstream[task.get()] {
            if next == start {
                let back = std::iter::successors(Some(task), |at| came_from[at.get()]);
                let mut cycle: Vec<_> = back.collect();
                cycle.reverse();
                return cycle;
            }
            if came_from[next.get()].is_none() {
                came_from[next.get()] = Some(task);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> Vec<(TaskIndex, TaskIndex)> {
        pairs
            .iter()
            .map(|(from, to)| (TaskIndex::new(*from), TaskIndex::new(*to)))
            .collect()
    }

    fn places(tasks: &[TaskIndex]) -> Vec<usize> {
        tasks.iter().map(|task| task.get()).collect()
    }

    #[test]
    fn each_cyclic_part_gives_one_shortest_cycle() {
        // 0 → 1 → 2 → 3 → 0 with the short cut 1 → 3; 4 ⇄ 5; 6 hangs on a cycle without being in it.
        let cyclic = edges(&[
            (0, 1),
            (1, 2),
            (2, 3),
            (3, 0),
            (1, 3),
            (4, 5),
            (5, 4),
            (3, 6),
        ]);
        let cycles = Graph::new(7, cyclic).unwrap_err();
        assert_eq!(
            cycles.iter().map(|cycle| places(cycle)).collect::<Vec<_>>(),
            [vec![0, 1, 3], vec![4, 5]]
        );
    }

    #[test]
    fn order_and_closures_follow_the_edges() {
        let graph = Graph::new(5, edges(&[(3, 1), (1, 0), (3, 0), (0, 4)])).unwrap();
        let order = places(graph.order());
        let place = |task| order.iter().position(|own| *own == task).unwrap();
        assert!(place(3) < place(1) && place(1) < place(0) && place(0) < place(4));
        assert_eq!(places(&graph.ancestors(TaskIndex::new(4))), [0, 1, 3]);
        assert_eq!(places(&graph.descendants(TaskIndex::new(3))), [0, 1, 4]);
        assert_eq!(places(graph.upstream(TaskIndex::new(0))), [1, 3]);
        assert_eq!(places(graph.downstream(TaskIndex::new(3))), [0, 1]);
        assert_eq!(
            graph.leaves().map(TaskIndex::get).collect::<Vec<_>>(),
            [2, 4]
        );
        assert_eq!(graph.edge_count(), 4);
    }
}
