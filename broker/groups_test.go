package broker

import (
	"testing"
	"time"
)

// TestSweep lets time pass: offsets go after their retention, groups with nothing left go too, and neither comes back.
func TestSweep(t *testing.T) {
	cfg := Config{DataDir: t.TempDir(), OffsetsRetention: time.Hour, Durability: PageCache}
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	commit := func(id string, at time.Time) {
		c := committed{offset: 5, at: at.UnixMilli()}
		tp := topicPartition{"flows", 0}
		if _, err := b.groups.remember(id, []record{offsetRecord(id, tp, &c)}); err != nil {
			t.Fatal(err)
		}
		b.groups.with(id, true, func(g *group) { g.setOffset(tp, c) })
	}
	commit("old", now)
	commit("new", now.Add(2*time.Hour))
	b.groups.with("nothing", true, func(*group) {})
	b.groups.with("expected", true, func(g *group) { g.expect("m", time.Hour) })
	b.groups.with("held", true, func(g *group) { g.holdOffset(1, topicPartition{"flows", 0}, committed{}) })

	check := func(want ...string) {
		t.Helper()
		var got []string
		for _, g := range b.groups.list() {
			got = append(got, g.id)
		}
		if len(got) != len(want) {
			t.Fatalf("groups %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("groups %v, want %v", got, want)
			}
		}
	}
	b.groups.sweep(now.Add(59 * time.Second))
	check("expected", "held", "new", "nothing", "old")
	b.groups.sweep(now.Add(61 * time.Second))
	check("expected", "held", "new", "old")
	b.groups.sweep(now.Add(61 * time.Minute))
	check("expected", "held", "new")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	check("new")
	if n := b.groups.bytes.Load(); n != offsetBytes+int64(len("flows")) {
		t.Errorf("one offset weighs %d", n)
	}
	b.groups.with("new", false, func(g *group) { g.forget(func(topicPartition, committed) bool { return true }) })
	if n := b.groups.bytes.Load(); n != 0 {
		t.Errorf("nothing weighs %d", n)
	}
	b.groups.with("new", false, func(g *group) {
		g.holdOffset(1, topicPartition{"flows", 0}, committed{})
		g.holdOffset(2, topicPartition{"flows", 0}, committed{metadata: "m"})
		g.holdOffset(2, topicPartition{"flows", 1}, committed{})
		if _, err := b.groups.bury(g); err != nil {
			t.Error(err)
		}
	})
	if n := b.groups.bytes.Load(); n != 0 {
		t.Errorf("offsets of transactions in a group that was deleted weigh %d", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
