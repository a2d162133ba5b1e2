package kafkascripts

import (
	"errors"
	"strings"
)

// transactionCommands are what kafka-transactions.sh can do: each with the options that it must have and those that it may have.
var transactionCommands = map[string][2]string{
	"list":                      {"", "duration-filter transactional-id-pattern"},
	"describe":                  {"transactional-id", ""},
	"describe-producers":        {"topic partition", "broker-id"},
	"abort":                     {"topic partition", "start-offset producer-id producer-epoch coordinator-epoch"},
	"find-hanging":              {"", "broker-id max-transaction-timeout topic partition"},
	"forceTerminateTransaction": {"transactionalId", ""},
}

var transactions = table(clusterOptions+`duration-filter= transactional-id-pattern= transactional-id= transactionalId= topic= partition= broker-id= start-offset= producer-id= producer-epoch=
	coordinator-epoch= max-transaction-timeout=`, func(p *parsed) (Command, error) {
	if len(p.rest) != 1 || transactionCommands[p.rest[0]] == [2]string{} {
		return Command{}, errors.New("give list, describe, describe-producers, abort, find-hanging or forceTerminateTransaction")
	}
	what := p.rest[0]
	p.rest = nil
	must, may := strings.Fields(transactionCommands[what][0]), strings.Fields(transactionCommands[what][1])
	if err := p.only(what, must, append(may, strings.Fields(strings.ReplaceAll(clusterOptions, "=", ""))...)); err != nil {
		return Command{}, err
	}
	ours := map[string]string{"describe-producers": "producers", "forceTerminateTransaction": "terminate"}[what]
	if ours == "" {
		ours = what
	}
	args := []string{"transactions", ours}
	if what != "abort" && what != "forceTerminateTransaction" {
		args = append(args, "--output=kafka")
	}
	args, err := p.cluster(args, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	partitions := p.get("topic")
	if p.has("partition") {
		partitions += ":" + p.get("partition")
	}
	switch what {
	case "list":
		if d := p.get("duration-filter"); d != "" && !strings.HasPrefix(d, "-") {
			args = append(args, "--running-for="+d+"ms")
		}
		if re := p.get("transactional-id-pattern"); re != "" {
			args = append(args, "--", re)
		}
	case "describe":
		args = append(args, "--", p.get("transactional-id"))
	case "describe-producers":
		args = append(p.pass(args, "broker", "broker-id"), "--", partitions)
	case "abort":
		if p.has("start-offset") == p.has("producer-id") {
			return Command{}, errors.New("abort: one of --start-offset and --producer-id must be given")
		}
		for _, o := range []string{"start-offset", "producer-id", "producer-epoch", "coordinator-epoch"} {
			args = p.pass(args, o, o)
		}
		args = append(args, "--", partitions)
	case "find-hanging":
		switch {
		case p.has("partition") && !p.has("topic"):
			return Command{}, errors.New("find-hanging: --partition needs --topic")
		case !p.has("topic") && !p.has("broker-id"):
			return Command{}, errors.New("find-hanging: one of --topic and --broker-id must be given")
		case p.has("topic"):
			args = append(args, "--topic="+partitions)
		}
		args = p.pass(args, "broker", "broker-id")
		if m := p.get("max-transaction-timeout"); m != "" {
			args = append(args, "--silent-for="+m+"m")
		}
	case "forceTerminateTransaction":
		args = append(args, "--", p.get("transactionalId"))
	}
	return Command{Args: args}, nil
})
