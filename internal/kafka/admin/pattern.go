package admin

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Pattern matches partitions of topics, as kafka-get-offsets.sh --topic-partitions takes them: a regular expression of a
// topic's whole name, any if it is empty, and behind a colon the number of a partition, a range 2-5 (without 5), 2- or -5; all
// if nothing is there.
type Pattern struct {
	topic    *regexp.Regexp
	from, to int64 // without to
}

// ParsePattern reads a pattern.
func ParsePattern(s string) (Pattern, error) {
	name, partitions, some := strings.Cut(s, ":")
	p := Pattern{to: math.MaxInt64}
	var err error
	if name == "" {
		name = ".*"
	}
	if p.topic, err = regexp.Compile("^(?:" + name + ")$"); err != nil {
		return Pattern{}, err
	}
	if !some || partitions == "" {
		return p, nil
	}
	number := func(s string, empty int64) int64 {
		if s == "" {
			return empty
		}
		n, e := strconv.ParseUint(s, 10, 31)
		if e != nil {
			err = errors.New("allowed are topic, topic:1, topic:2-5, topic:2- and topic:-5")
		}
		return int64(n)
	}
	from, to, isRange := strings.Cut(partitions, "-")
	p.from = number(from, 0)
	if p.to = p.from + 1; isRange {
		p.to = number(to, math.MaxInt64)
	}
	return p, err
}

// Match says whether the pattern matches a partition of a topic.
func (p Pattern) Match(topic string, partition int32) bool {
	return p.topic.MatchString(topic) && int64(partition) >= p.from && int64(partition) < p.to
}
