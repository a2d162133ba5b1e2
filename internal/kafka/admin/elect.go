package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Election is what came of the election of a partition's leader.
type Election struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Result    string `json:"result"` // elected, not needed or failed
	Error     string `json:"error,omitempty"`
	Err       error  `json:"-"` // of one that failed
	exception string // the same as Kafka's tools write it
}

// What comes of an election.
const (
	Elected        = "elected"
	ElectionUnused = "not needed"
	ElectionFailed = "failed"
)

// ElectLeaders has the cluster elect leaders (KIP-183): of each partition the preferred one, which is the first of its replicas, or
// with unclean, of those without a leader, any replica that lives, even if records are lost (KIP-460). Of all partitions, which no
// names stand for, only those are returned that an election was needed for. An error of one partition is in its [Election].
func ElectLeaders(ctx context.Context, cl *kgo.Client, what []TopicPartitions, unclean bool) ([]Election, error) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = 30_000
	if unclean {
		req.ElectionType = 1
	}
	if len(what) > 0 {
		of, err := named(ctx, cl, what)
		if err != nil {
			return nil, err
		}
		req.Topics = []kmsg.ElectLeadersRequestTopic{}
		for _, t := range of.list() {
			rt := kmsg.NewElectLeadersRequestTopic()
			rt.Topic, rt.Partitions = t.Topic, t.Partitions
			req.Topics = append(req.Topics, rt)
		}
	}
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("elect leaders: %w", Problem(err))
	}
	elections := []Election{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			e := Election{Topic: t.Topic, Partition: p.Partition, Result: Elected}
			switch err := answer(p.ErrorCode, p.ErrorMessage); {
			case errors.Is(err, kerr.ElectionNotNeeded):
				e.Result = ElectionUnused
			case err != nil:
				e.Result, e.Error, e.Err, e.exception = ElectionFailed, err.Error(), err, exception(p.ErrorCode, p.ErrorMessage)
			}
			elections = append(elections, e)
		}
	}
	slices.SortFunc(elections, func(a, b Election) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return elections, nil
}

// named are partitions as they are named, and all of a topic that is named without; the others need not be there.
func named(ctx context.Context, cl *kgo.Client, what []TopicPartitions) (topicSet, error) {
	of := topicSet{}
	var whole []TopicPartitions
	for _, t := range what {
		if t.Partitions == nil {
			whole = append(whole, t)
		} else {
			of.add(t.Topic, t.Partitions...)
		}
	}
	if len(whole) > 0 {
		all, err := existing(ctx, kadm.NewClient(cl), whole)
		if err != nil {
			return nil, err
		}
		for _, t := range all.list() {
			of.add(t.Topic, t.Partitions...)
		}
	}
	return of, nil
}

// ReadPartitions reads partitions from the JSON that kafka-leader-election.sh takes:
//
//	{"partitions":[{"topic":"flows","partition":0}]}
func ReadPartitions(r io.Reader) ([]TopicPartitions, error) {
	var file struct {
		Partitions []struct {
			Topic     *string `json:"topic"`
			Partition *int32  `json:"partition"`
		} `json:"partitions"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, err
	}
	if len(file.Partitions) == 0 {
		return nil, errors.New(`want {"partitions":[{"topic":"flows","partition":0}]}`)
	}
	of := topicSet{}
	for i, p := range file.Partitions {
		if p.Topic == nil || *p.Topic == "" || p.Partition == nil || *p.Partition < 0 {
			return nil, fmt.Errorf("partitions[%d]: want topic and partition", i)
		}
		if of[*p.Topic][*p.Partition] {
			return nil, fmt.Errorf("partitions[%d]: %s-%d is there twice", i, *p.Topic, *p.Partition)
		}
		of.add(*p.Topic, *p.Partition)
	}
	return of.list(), nil
}

// WriteElectionsAsKafka writes elections in the lines of kafka-leader-election.sh.
func WriteElectionsAsKafka(w io.Writer, elections []Election, unclean bool) error {
	kind := "PREFERRED"
	if unclean {
		kind = "UNCLEAN"
	}
	var b strings.Builder
	for _, result := range []struct{ result, line string }{
		{Elected, "Successfully completed leader election (" + kind + ") for partitions "},
		{ElectionUnused, "Valid replica already elected for partitions "},
	} {
		var of []string
		for _, e := range elections {
			if e.Result == result.result {
				of = append(of, fmt.Sprintf("%s-%d", e.Topic, e.Partition))
			}
		}
		if len(of) > 0 {
			b.WriteString(result.line + strings.Join(of, ", ") + "\n")
		}
	}
	for _, e := range elections {
		if e.Result == ElectionFailed {
			fmt.Fprintf(&b, "Error completing leader election (%s) for partition: %s-%d: %s\n", kind, e.Topic, e.Partition, e.exception)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
