package kafkascripts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

var acls = table(clusterOptions+`list add remove force topic= group= cluster=? transactional-id= delegation-token= user-principal= principal= allow-principal=
	deny-principal= allow-host= deny-host= operation= producer consumer idempotent resource-pattern-type= authorizer= authorizer-properties=`, func(p *parsed) (Command, error) {
	what, err := p.one("list", "add", "remove")
	if err != nil {
		return Command{}, err
	}
	if p.has("authorizer") || p.has("authorizer-properties") {
		return Command{}, errors.New("--authorizer: ACLs are the broker's; give it, --bootstrap-server host:9092")
	}
	args, err := p.cluster([]string{"acls", what, "--output=kafka"}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	for _, o := range []string{"topic", "group", "transactional-id", "delegation-token", "user-principal", "principal", "allow-principal", "deny-principal", "allow-host", "deny-host"} {
		args = p.pass(args, o, o)
	}
	if what == "add" && p.has("principal") {
		return Command{}, errors.New("--principal is for --list; --allow-principal and --deny-principal add")
	}
	for _, o := range []string{"cluster", "producer", "consumer", "idempotent"} {
		args = p.turn(args, o, o)
	}
	for _, op := range p.values["operation"] {
		args = append(args, "--operation="+dashed(op))
	}
	if v := p.get("resource-pattern-type"); v != "" {
		args = append(args, "--pattern="+strings.ToLower(v))
	}
	return Command{Args: args}, nil
})

// dashed writes DescribeConfigs as describe-configs.
func dashed(s string) string {
	var b strings.Builder
	for i, r := range s {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(s[i-1])) && s[i-1] != '-' {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// client is who quotas are for: parts of users, client ids and addresses, a name of each or the default.
type client struct {
	kind string // user, client-id or ip
	name string // empty: the default
	all  bool   // whatever it is, for describing
}

// clients finds out of --entity-type and its shorter forms whom kafka-configs.sh means; none if it is about something else.
func (p *parsed) clients() ([]client, error) {
	var all []client
	for _, short := range [][2]string{{"user", "user"}, {"client", "client-id"}, {"ip", "ip"}} {
		if p.has(short[0]) {
			all = append(all, client{kind: short[1], name: p.get(short[0])})
		} else if p.has(short[0] + "-defaults") {
			all = append(all, client{kind: short[1]})
		}
	}
	kinds := map[string]string{"users": "user", "clients": "client-id", "ips": "ip"}
	types := p.values["entity-type"]
	if len(types) == 0 || kinds[types[0]] == "" {
		return all, nil
	}
	names, defaults := p.values["entity-name"], p.values["entity-default"]
	for i, t := range types {
		kind := kinds[t]
		switch {
		case kind == "":
			return nil, fmt.Errorf("--entity-type %s does not go with %s", t, types[0])
		case len(names) == len(types) && len(defaults) == 0:
			all = append(all, client{kind: kind, name: names[i]})
		case len(names) == 0 && len(defaults) == len(types):
			all = append(all, client{kind: kind})
		case len(names)+len(defaults) == 0 && p.has("describe"):
			all = append(all, client{kind: kind, all: true})
		default:
			return nil, errors.New("--entity-name and --entity-default do not go with --entity-type; --user, --client, --user-defaults and --client-defaults say it")
		}
	}
	return all, nil
}

// quotas is kafka-configs.sh about clients: their quotas, and the credentials of users.
func (p *parsed) quotas(what string, clients []client) (Command, error) {
	var pairs, scram []string
	for _, list := range p.values["add-config"] {
		for _, pair := range splitConfigs(list) {
			if strings.HasPrefix(pair, "SCRAM-") {
				scram = append(scram, pair)
			} else {
				pairs = append(pairs, pair)
			}
		}
	}
	var gone, goneScram []string
	for _, n := range splitList(p.get("delete-config")) {
		if strings.HasPrefix(n, "SCRAM-") {
			goneScram = append(goneScram, n)
		} else {
			gone = append(gone, n)
		}
	}
	different := 0
	for _, list := range [][]string{pairs, scram, gone, goneScram} {
		if len(list) > 0 {
			different++
		}
	}
	if what == "alter" && different != 1 {
		return Command{}, errors.New("give either --add-config or --delete-config, of quotas or of SCRAM credentials")
	}
	if len(scram)+len(goneScram) > 0 {
		return p.credentials(clients, scram, goneScram)
	}
	command := []string{"quotas", "list"}
	if len(pairs) > 0 {
		command[1] = "set"
	} else if len(gone) > 0 {
		command[1] = "delete"
	}
	args, err := p.cluster(command, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	var who []string
	for _, c := range clients {
		switch {
		case c.all:
			args = append(args, "--any="+c.kind)
		case c.name == "":
			args = append(args, "--"+c.kind+"-default")
			who = append(who, "the default "+c.kind)
		default:
			args = append(args, "--"+c.kind+"="+c.name)
			who = append(who, c.kind+" "+c.name)
		}
	}
	if what == "describe" {
		return Command{Args: append(args, "--only", "--output=kafka")}, nil
	}
	args = append(append(args, "--"), slices.Concat(pairs, gone)...)
	return Command{Args: args, Says: []string{"Completed updating config for " + strings.Join(who, ", ") + "."}}, nil
}

// credentials is kafka-configs.sh --alter of a user's SCRAM credentials. The password goes on by standard input.
func (p *parsed) credentials(clients []client, add, remove []string) (Command, error) {
	if len(clients) != 1 || clients[0].kind != "user" || clients[0].name == "" {
		return Command{}, errors.New("SCRAM credentials are of one user, --entity-type users --entity-name NAME")
	}
	name := clients[0].name
	done := []string{"Completed updating config for user " + name + "."}
	if len(remove) > 0 {
		args, err := p.cluster([]string{"users", "remove"}, p.get("command-config"))
		for _, m := range remove {
			args = append(args, "--mechanism="+m)
		}
		return Command{Args: append(args, "--", name), Says: done}, err
	}
	args, err := p.cluster([]string{"users", "add", "--password-file=-"}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	password, iterations := "", ""
	for i, one := range add {
		mechanism, rest, _ := strings.Cut(one, "=")
		rounds, secret := "", ""
		for _, part := range splitList(rest) {
			if v, ok := strings.CutPrefix(part, "password="); ok {
				secret = v
			} else if v, ok := strings.CutPrefix(part, "iterations="); ok {
				rounds = v
			} else {
				return Command{}, fmt.Errorf("%s: allowed are iterations and password", mechanism)
			}
		}
		if secret == "" {
			return Command{}, fmt.Errorf("%s: the password is missing", mechanism)
		}
		if i > 0 && (secret != password || rounds != iterations) {
			return Command{}, errors.New("give mechanisms with different passwords or iterations one by one")
		}
		password, iterations = secret, rounds
		args = append(args, "--mechanism="+mechanism)
	}
	if iterations != "" {
		args = append(args, "--iterations="+iterations)
	}
	return Command{Args: append(args, "--", name), Input: password + "\n", Says: done}, nil
}
