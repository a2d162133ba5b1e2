package kafkascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var producerPerf = table(`bootstrap-server= topic= num-records= record-size= throughput= producer-props=+ command-property=+ producer.config= command-config=
	print-metrics payload-file= payload-delimiter= payload-monotonic transactional-id= transaction-duration-ms= warmup-records= reporting-interval=`, func(p *parsed) (Command, error) {
	for _, needed := range []string{"topic", "num-records", "throughput"} {
		if !p.has(needed) {
			return Command{}, fmt.Errorf("--%s is missing", needed)
		}
	}
	if _, err := p.one("record-size", "payload-file", "payload-monotonic"); err != nil {
		return Command{}, err
	}
	var properties []string
	for _, pair := range append(p.values["producer-props"], p.values["command-property"]...) {
		if servers, ok := strings.CutPrefix(pair, "bootstrap.servers="); ok {
			p.values["bootstrap-server"] = []string{servers}
			continue
		}
		if id, ok := strings.CutPrefix(pair, "transactional.id="); ok {
			if !p.has("transactional-id") {
				p.values["transactional-id"] = []string{id}
			}
			continue
		}
		properties = append(properties, pair)
	}
	config := p.get("producer.config")
	if config == "" {
		config = p.get("command-config")
	}
	args, err := p.cluster([]string{"bench", "produce", "--output=kafka", "--duration=0s", "--interval=5s"}, config, properties...)
	if err != nil {
		return Command{}, err
	}
	if ms := p.get("reporting-interval"); ms != "" {
		args = append(args, "--interval="+ms+"ms")
	}
	args = p.pass(args, "records", "num-records")
	args = p.pass(args, "size", "record-size")
	args = p.pass(args, "payload-file", "payload-file")
	args = p.pass(args, "payload-delimiter", "payload-delimiter")
	args = p.turn(args, "payload-numbers", "payload-monotonic")
	args = p.pass(args, "warmup", "warmup-records")
	args = p.pass(args, "transactional-id", "transactional-id")
	if ms := p.get("transaction-duration-ms"); ms != "" {
		if n, err := strconv.ParseInt(ms, 10, 32); err != nil || n <= 0 {
			return Command{}, fmt.Errorf("--transaction-duration-ms %s: allowed are milliseconds above 0", ms)
		}
		args = append(args, "--transaction-duration="+ms+"ms")
	}
	if rate, err := strconv.ParseFloat(p.get("throughput"), 64); err == nil && rate > 0 {
		args = append(args, "--rate="+p.get("throughput"))
	} else if err != nil && p.has("throughput") {
		return Command{}, fmt.Errorf("--throughput %s: allowed are records a second, -1 for no limit", p.get("throughput"))
	}
	return Command{Args: append(args, "--", p.get("topic"))}, nil
})

var consumerPerf = table(clusterOptions+`topic= include= num-records= messages= group= fetch-size= from-latest socket-buffer-size= consumer.config= command-property=
	print-metrics show-detailed-stats hide-header reporting-interval= timeout= date-format= threads= num-fetch-threads=`, func(p *parsed) (Command, error) {
	if !p.has("topic") {
		return Command{}, errors.New("--topic is missing")
	}
	args := p.turn([]string{"bench", "consume", "--output=kafka"}, "follow", "from-latest")
	args = p.turn(args, "no-header", "hide-header")
	args = p.pass(args, "time-format", "date-format")
	switch interval := p.get("reporting-interval"); {
	case !p.has("show-detailed-stats"):
		args = append(args, "--interval=0s")
	case interval != "":
		args = append(args, "--interval="+interval+"ms")
	default:
		args = append(args, "--interval=5s")
	}
	args = p.pass(args, "records", "num-records")
	args = p.pass(args, "records", "messages")
	args = p.pass(args, "group", "group")
	idle := "10000"
	if v := p.get("timeout"); v != "" {
		idle = v
	}
	args = append(args, "--idle="+idle+"ms")
	config := p.get("consumer.config")
	if config == "" {
		config = p.get("command-config")
	}
	args, err := p.cluster(args, config, p.values["command-property"]...)
	return Command{Args: append(args, "--", p.get("topic"))}, err
})
