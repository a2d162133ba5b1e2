package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Printer writes reports as they come.
type Printer struct {
	Out    io.Writer
	Format string // text, json, or kafka for the lines of kafka-producer-perf-test.sh and kafka-consumer-perf-test.sh
	Bare   bool   // without a line of headings
	Time   string // pattern of times in Kafka's consumer lines; see [FormatTime]; empty is KafkaTime
	lines  int
	total  int64 // bytes so far, which Kafka's consumer test shows
	count  int64
}

// milliseconds writes seconds as such.
func milliseconds(s float64) string { return fmt.Sprintf("%.3f", s*1000) }

const mebi = 1 << 20

// Interval writes a report of a part.
func (p *Printer) Interval(r Report) error { return p.write("interval", r) }

// Summary writes the report of a whole run.
func (p *Printer) Summary(r Report) error {
	if err := p.write("summary", r); err != nil || r.Steady == nil || p.Format == "json" {
		return err
	}
	return p.write("steady", *r.Steady)
}

func (p *Printer) write(kind string, r Report) error {
	switch p.Format {
	case "json":
		return json.NewEncoder(p.Out).Encode(struct {
			Type string `json:"type"`
			Report
		}{kind, r})
	case "kafka":
		return p.kafka(kind, r)
	}
	if p.lines++; p.lines == 1 && !p.Bare {
		head := "SECONDS   RECORDS     RECORDS/S   MB/S      "
		if r.Latency != nil {
			head += "MEAN ms   P50 ms    P95 ms    P99 ms    P99.9 ms  MAX ms"
		}
		if _, err := fmt.Fprintln(p.Out, head); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("%-8.1f  %-10d  %-10.0f  %-8.2f  ", r.Seconds, r.Records, r.RecordsPerSecond, r.BytesPerSecond/1e6)
	if l := r.Latency; l != nil {
		line += fmt.Sprintf("%-8s  %-8s  %-8s  %-8s  %-8s  %s", milliseconds(l.Mean), milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), milliseconds(l.P999), milliseconds(l.Max))
	}
	switch kind {
	case "summary":
		line += "  in all"
	case "steady":
		line += "  after the warmup"
	}
	if r.Failed > 0 {
		line += fmt.Sprintf("  %d failed", r.Failed)
	}
	_, err := fmt.Fprintln(p.Out, line)
	return err
}

// kafka writes what Kafka's own tools do, a producer's where there is latency and a consumer's otherwise. Its MB are 2^20.
func (p *Printer) kafka(kind string, r Report) error {
	mb := r.BytesPerSecond / mebi
	if l := r.Latency; l != nil {
		if kind == "interval" {
			_, err := fmt.Fprintf(p.Out, "%d records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max latency.\n", r.Records, r.RecordsPerSecond, mb, l.Mean*1000, l.Max*1000)
			return err
		}
		what := "records"
		if kind == "steady" {
			what = "steady state records"
		}
		_, err := fmt.Fprintf(p.Out, "%d %s sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %.0f ms 50th, %.0f ms 95th, %.0f ms 99th, %.0f ms 99.9th.\n",
			r.Records, what, r.RecordsPerSecond, mb, l.Mean*1000, l.Max*1000, l.P50*1000, l.P95*1000, l.P99*1000, l.P999*1000)
		return err
	}
	end := r.Begin.Add(time.Duration(r.Seconds * float64(time.Second)))
	begun, err := FormatTime(r.Begin, cmp.Or(p.Time, KafkaTime))
	if err != nil {
		return err
	}
	ended, err := FormatTime(end, cmp.Or(p.Time, KafkaTime))
	if err != nil {
		return err
	}
	if kind == "interval" {
		if p.total += r.Bytes; p.lines == 0 && !p.Bare {
			fmt.Fprintln(p.Out, "time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
		}
		p.lines++
		p.count += r.Records
		_, err = fmt.Fprintf(p.Out, "%s, 0, %.4f, %.4f, %d, %.4f, 0, %.0f, %.4f, %.4f\n", ended, float64(p.total)/mebi, mb, p.count, r.RecordsPerSecond, r.Seconds*1000, mb, r.RecordsPerSecond)
		return err
	}
	if p.lines == 0 && !p.Bare {
		fmt.Fprintln(p.Out, "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
	}
	_, err = fmt.Fprintf(p.Out, "%s, %s, %.4f, %.4f, %d, %.4f, 0, %.0f, %.4f, %.4f\n", begun, ended, float64(r.Bytes)/mebi, mb, r.Records, r.RecordsPerSecond, r.Seconds*1000, mb, r.RecordsPerSecond)
	return err
}
