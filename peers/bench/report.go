package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"text/tabwriter"
)

// spread is the least, middle and largest of several values.
type spread struct{ min, median, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return spread{}
	}
	return spread{v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]}
}

// quantile is the least value that a part q of the values, from 0 to 1, does not exceed.
func quantile(values []float64, q float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[min(max(int(math.Ceil(q*float64(len(v))))-1, 0), len(v)-1)]
}

// over forms ratios round by round.
func over(a, b []float64) spread {
	var r []float64
	for i := range a {
		r = append(r, a[i]/b[i])
	}
	return spreadOf(r)
}

func (s spread) String() string {
	return fmt.Sprintf("%s [%s, %s]", short(s.median), short(s.min), short(s.max))
}

func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// bar is something that was to be reached.
type bar struct {
	what   string
	value  float64
	limit  float64
	atMost bool // otherwise at least
}

func (b bar) met() bool {
	if b.atMost {
		return b.value <= b.limit
	}
	return b.value >= b.limit
}

func newTable() *tabwriter.Writer { return tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0) }

// report prints what came of a path: the median of the rounds, the least and the
// largest in brackets.
func (b *bench) report(p *path, peers []contestant, results [][]result) {
	fmt.Printf("\n%s\n", p.name)
	t := newTable()
	fmt.Fprintln(t, "  \tflows/s\tCPU s per million flows\tuser\tsystem\tlost\tpeak MB\ttimes ours")
	cost := make([][]float64, len(peers))
	for i, rs := range results {
		for _, r := range rs {
			cost[i] = append(cost[i], r.perMillion(r.usage.cpu))
		}
	}
	column := func(rs []result, value func(result) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, value(r))
		}
		return spreadOf(v).median
	}
	for i, c := range peers {
		rs := results[i]
		times := ""
		if i > 0 {
			times = over(cost[i], cost[0]).String()
		}
		fmt.Fprintf(t, "  %s\t%.0fk\t%s\t%s\t%s\t%.2f %%\t%.0f\t%s\n", c.label(),
			column(rs, func(r result) float64 { return r.rate })/1e3, spreadOf(cost[i]),
			short(column(rs, func(r result) float64 { return r.perMillion(r.usage.user) })),
			short(column(rs, func(r result) float64 { return r.perMillion(r.usage.sys) })),
			100*column(rs, result.loss), column(rs, func(r result) float64 { return float64(r.usage.peak) / 1e6 }), times)
		switch {
		case i == 0 && p.bar > 0:
			b.bars = append(b.bars, bar{p.name + ": CPU s per million flows", spreadOf(cost[0]).median, p.bar, true})
		case c.most > 0:
			b.bars = append(b.bars, bar{p.name + ", " + c.note + ": CPU s per million flows", spreadOf(cost[i]).median, c.most, true})
		case c.more > 0:
			extra := spreadOf(cost[i]).median - spreadOf(cost[0]).median
			b.bars = append(b.bars, bar{p.name + ", " + c.note + ": CPU s per million flows more", extra, c.more, true})
		case c.rival && p.ratio > 0:
			b.bars = append(b.bars, bar{p.name + ": times less than " + c.name, over(cost[i], cost[0]).median, p.ratio, false})
		}
	}
	t.Flush()
	for i, c := range peers {
		if c.note != sameRate {
			continue
		}
		for j, d := range peers {
			if d.rival {
				same := over(cost[j], cost[i])
				fmt.Printf("  At the same rate %s takes %s times as much.\n", d.name, same)
				if p.ratio > 0 {
					b.bars = append(b.bars, bar{p.name + ": times less than " + d.name + " at the same rate", same.median, p.ratio, false})
				}
			}
		}
	}
}

// verdict prints what was to be reached and what was.
func (b *bench) verdict() {
	if len(b.bars) == 0 {
		return
	}
	fmt.Println()
	t := newTable()
	for _, bar := range b.bars {
		word, sign := "reached", ">="
		if bar.atMost {
			sign = "<="
		}
		if !bar.met() {
			word = "MISSED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\n", word, short(bar.value), sign, short(bar.limit), bar.what)
	}
	t.Flush()
}

func (b *bench) missed() bool {
	return slices.ContainsFunc(b.bars, func(x bar) bool { return !x.met() })
}
