package kafkascripts

import (
	"errors"
	"regexp/syntax"
	"strings"
)

var consumerGroups = table(clusterOptions+`list describe delete delete-offsets reset-offsets group= all-groups topic= all-topics offsets members=? state=?
	type=? verbose timeout= execute dry-run export from-file= to-offset= to-earliest to-latest to-current to-datetime= by-duration= shift-by= new-consumer
	validate-regex=`, func(p *parsed) (Command, error) {
	if expr := p.get("validate-regex"); expr != "" {
		return Command{Action: Nothing, Says: []string{validateRegex(expr)}}, nil
	}
	what, err := p.one("list", "describe", "delete", "delete-offsets", "reset-offsets")
	if err != nil {
		return Command{}, err
	}
	args, err := p.cluster([]string{"groups", what}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	groups := p.values["group"]
	if len(groups) == 0 && !p.has("all-groups") && what != "list" && !(what == "reset-offsets" && p.has("from-file")) {
		return Command{}, errors.New("--group or --all-groups is missing")
	}
	switch what {
	case "list":
		args = append(args, "--output=kafka")
		for _, column := range []string{"type", "state"} {
			if p.has(column) {
				args = append(args, "--show="+column)
			}
		}
		for _, s := range splitList(p.get("state")) {
			args = append(args, "--state="+groupState(s))
		}
		for _, t := range splitList(p.get("type")) {
			args = append(args, "--type="+strings.ToLower(t))
		}
		return Command{Args: args}, nil
	case "describe":
		args = append(args, "--output=kafka")
		args = p.turn(args, "offsets", "offsets")
		args = p.turn(args, "members", "members")
		args = p.turn(args, "state", "state")
		if p.has("members") || p.has("state") {
			args = p.turn(args, "verbose", "verbose")
		}
	case "delete":
		args = p.turn(args, "all-groups", "all-groups")
	case "delete-offsets":
		args = p.pass(args, "topic", "topic")
	case "reset-offsets":
		args = append(args, "--output=kafka")
		for _, o := range []string{"all-groups", "all-topics", "to-earliest", "to-latest", "to-current", "execute", "export"} {
			args = p.turn(args, o, o)
		}
		for _, o := range []string{"topic", "to-offset", "to-datetime", "by-duration", "shift-by", "from-file"} {
			args = p.pass(args, o, o)
		}
	}
	if len(groups) > 0 {
		args = append(append(args, "--"), groups...)
	}
	c := Command{Args: args}
	if what == "delete" && len(groups) > 0 {
		c.Says = []string{"Deletion of requested consumer groups ('" + strings.Join(groups, "', '") + "') was successful."}
	}
	return c, nil
})

// validateRegex says whether brokers take a regular expression of topics: theirs are RE2's, as Go's are.
func validateRegex(expr string) string {
	_, err := syntax.Parse(expr, syntax.Perl)
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		return "The regular expression `" + expr + "` is invalid: " + wrong.Code.String() + "."
	}
	return "The regular expression `" + expr + "` is valid."
}

var groups = table(clusterOptions+"list consumer share streams group-type= protocol=", func(p *parsed) (Command, error) {
	if !p.has("list") {
		return Command{}, errors.New("--list is what it can do")
	}
	kinds := 0
	for _, kind := range []string{"consumer", "share", "streams"} {
		if p.has(kind) {
			kinds++
		}
	}
	if kinds > 1 || kinds == 1 && (p.has("group-type") || p.has("protocol")) {
		return Command{}, errors.New("--consumer, --share, --streams and --group-type with --protocol exclude each other")
	}
	args, err := p.cluster([]string{"groups", "list", "--output=kafka", "--show=protocol"}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	args = p.turn(args, "consumers", "consumer")
	args = p.turn(args, "type=share", "share")
	args = p.turn(args, "type=streams", "streams")
	if t := p.get("group-type"); t != "" {
		args = append(args, "--type="+strings.ToLower(t))
	}
	return Command{Args: p.pass(args, "protocol", "protocol")}, nil
})

// groupState writes the state of a group as it is spelt; Kafka's script takes any case.
func groupState(s string) string {
	for _, known := range []string{"Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Dead"} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	return s
}
