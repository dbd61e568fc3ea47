#!/usr/bin/env python3
"""Edge betweenness against networkx and rustworkx, and the time that sampling paths takes.

    make bench-graph

The graph is that of a ResNet-50 for CIFAR of which a tenth of the weights is kept, at random (`crates/graph/examples/
betweenness.rs`), unrolled; lengths are 1 / Σ|w|. networkx gets a few sources, the same as we, since all would take it hours;
rustworkx knows neither lengths nor samples and computes all at unit lengths, at a quarter and at half of the width. Both sides
take turns and may use all threads (networkx uses one). Processor time is given too, since it depends less on what else the
machine does. Values are compared: whole on a ResNet-20, of the same sources on the ResNet-50. Writes bench-out/graph.json.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import networkx as nx
import numpy as np
import rustworkx as rx
from scipy.stats import spearmanr

from machine import machine

DATA = Path("target/bench-data/graph")
SEED = 1
PAIRS = 3
#: Sources that networkx gets in a pair; a search of ours takes sixteen at a time.
SOURCES = 16
TICK = os.sysconf("SC_CLK_TCK")


class Ours:
    """The example as a process, with the links that it wrote."""

    def __init__(self, program, network, width):
        self.folder = DATA / f"{network}-{width}"
        command = [program, network, str(width), "0.1", str(SEED), str(self.folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        print(f"{network}, width {width}, 10 % kept, seed {SEED}: {self.answer()}", flush=True)
        self.table = np.loadtxt(self.folder / "links.txt")
        self.ends = self.table[:, :2].astype(int)
        self.nodes = int(self.ends.max()) + 1

    def answer(self):
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args[0]} ended with exit code {self.process.wait()}")
        return answer.strip()

    def processor_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def run(self, command):
        """Seconds, processor seconds, and what else was answered."""
        before = self.processor_seconds()
        self.process.stdin.write(command + "\n")
        seconds, *rest = self.answer().split()
        return float(seconds), self.processor_seconds() - before, [float(value) for value in rest]

    def values(self):
        return np.fromfile(self.folder / "values.f64")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(function):
    """Seconds, processor seconds, result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - processor, result


def networkx_graph(ours):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(ours.nodes))
    graph.add_weighted_edges_from(zip(*ours.ends.T.tolist(), ours.table[:, 2].tolist()), weight="length")
    assert graph.number_of_edges() == len(ours.ends), "two links between the same nodes"
    return graph


def in_order(ours, by_edge):
    return np.array([by_edge[u, v] for u, v in ours.ends.tolist()])


def difference(ours, theirs):
    """The largest, relative to the peer's value or to 1."""
    return float(np.max(np.abs(ours - theirs) / np.maximum(theirs, 1)))


def report(rows, name, pairs, unit):
    """`pairs`: our seconds, our processor seconds, and the peer's."""
    medians = [statistics.median(column) for column in zip(*pairs)]
    walls = sorted(pair[2] / pair[0] for pair in pairs)
    processors = sorted(pair[3] / pair[1] for pair in pairs)
    wall, processor = statistics.median(walls), statistics.median(processors)
    print(
        f"{name}: ours {medians[0]:.4g} {unit} ({medians[1]:.4g} of processor), peer {medians[2]:.4g} ({medians[3]:.4g}), "
        f"ratio {wall:.4g} ({walls[0]:.4g} to {walls[-1]:.4g}), of processor time {processor:.4g} "
        f"({processors[0]:.4g} to {processors[-1]:.4g})",
        flush=True,
    )
    rows.append({"name": name, "ours": medians[0], "peer": medians[2], "unit": unit, "ratio": wall, "processor": processor})


def against_networkx(program, rows):
    ours = Ours(program, "resnet20", 16)
    graph = networkx_graph(ours)
    ours.run("weighted all")
    exact = in_order(ours, nx.edge_betweenness_centrality(graph, normalized=False, weight="length"))
    print(f"exact values of ResNet-20 against networkx: largest difference {difference(ours.values(), exact):.1e}")
    ours.close()

    ours = Ours(program, "resnet50", 64)
    graph = networkx_graph(ours)
    drawn = random.Random(SEED)
    pairs = []
    for _ in range(PAIRS):
        sources = sorted(drawn.sample(range(ours.nodes), SOURCES))
        own, own_processor, _ = ours.run("weighted " + ",".join(map(str, sources)))
        values = ours.values()
        subset = lambda: nx.edge_betweenness_centrality_subset(
            graph, sources, range(ours.nodes), normalized=False, weight="length"
        )
        peer, peer_processor, theirs = timed(subset)
        pairs.append([seconds / SOURCES for seconds in (own, own_processor, peer, peer_processor)])
        theirs = in_order(ours, theirs)
        rank = spearmanr(values, theirs).statistic
        print(f"{SOURCES} sources: largest difference {difference(values, theirs):.1e}, Spearman's rho {rank:.9f}")
    report(rows, f"ResNet-50, {SOURCES} sources, networkx", pairs, "s a source")

    sampled, sampled_processor, (bound,) = ours.run("sampled 1000")
    estimate = ours.values()
    whole, whole_processor, _ = ours.run("weighted all")
    exact = ours.values()
    rank = spearmanr(estimate, exact).statistic
    top = len(exact) // 20
    kept = set(np.argsort(-estimate)[:top]) & set(np.argsort(-exact)[:top])
    print(
        f"ours, 1000 sources: {sampled:.2f} s ({sampled_processor:.2f} of processor), largest bound {bound / exact.max():.2g} "
        f"of the largest value; against the exact values: Spearman's rho {rank:.3f}, {len(kept) / top:.0%} of the highest 5 %"
    )
    each = whole_processor / ours.nodes
    peer = statistics.median(pair[3] for pair in pairs)
    print(
        f"ours, all {ours.nodes} sources: {whole:.1f} s ({whole_processor:.1f} of processor, {each:.2g} a source, "
        f"networkx's {peer / each:.0f}-th part)"
    )
    runs = [ours.run("paths 50000")[:2] for _ in range(5)]
    paths, paths_processor = (statistics.median(column) for column in zip(*runs))
    print(f"ours, 50,000 paths: {paths:.2f} s ({paths_processor:.2f} of processor)", flush=True)
    rows.append({"name": "all sources", "ours": whole, "processor": whole_processor, "unit": "s"})
    rows.append({"name": "1000 sources", "ours": sampled, "processor": sampled_processor, "unit": "s"})
    rows.append({"name": "50,000 paths", "ours": paths, "processor": paths_processor, "unit": "s"})
    ours.close()


def against_rustworkx(program, rows, width, times):
    ours = Ours(program, "resnet50", width)
    graph = rx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(range(ours.nodes))
    graph.add_edges_from_no_data([tuple(ends) for ends in ours.ends.tolist()])
    pairs = []
    for _ in range(times):
        own, own_processor, _ = ours.run("unit all")
        peer, peer_processor, theirs = timed(lambda: rx.digraph_edge_betweenness_centrality(graph, normalized=False))
        pairs.append((own, own_processor, peer, peer_processor))
    theirs = np.array([theirs[edge] for edge in range(len(ours.ends))])
    print(f"unit lengths against rustworkx: largest difference {difference(ours.values(), theirs):.1e}")
    report(rows, f"ResNet-50 of width {width}, all sources, unit lengths, rustworkx", pairs, "s")
    ours.close()


def main():
    (program,) = sys.argv[1:]
    os.environ["RAYON_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    name = f"{machine()}, networkx {nx.__version__}, rustworkx {rx.__version__}"
    print(name, flush=True)
    rows = []
    against_networkx(program, rows)
    against_rustworkx(program, rows, 16, PAIRS)
    against_rustworkx(program, rows, 32, 1)
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "graph.json").write_text(json.dumps({"machine": name, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
