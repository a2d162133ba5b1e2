package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/broker"
)

// securityOptions say who may come to the broker, and how.
type securityOptions struct {
	listeners      []string
	cert           string
	key            string
	clientCA       string
	clientAuth     string
	principalRules string
	mechanisms     []string
	users          string
	authorize      bool
	superUsers     []string
}

func defaultSecurityOptions() securityOptions {
	return securityOptions{clientAuth: broker.ClientAuthNone.String(), mechanisms: []string{"SCRAM-SHA-512", "SCRAM-SHA-256"}}
}

var saslMechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

func (o *securityOptions) register(fs *pflag.FlagSet, prefix string) {
	listVar(fs, &o.listeners, prefix+"listener", "protocol://host:port", checkListener, "accept Kafka clients here too, by plaintext, ssl, sasl_plaintext or sasl_ssl; repeatable")
	stringVar(fs, &o.cert, prefix+"tls-cert", "certificate of the broker, its issuers behind it: a PEM `file`, read again when it changes")
	stringVar(fs, &o.key, prefix+"tls-key", "private key of that certificate: a PEM `file`; without it, the same one")
	stringVar(fs, &o.clientCA, prefix+"tls-client-ca", "who may issue certificates of clients: a PEM `file`")
	enumVar(fs, &o.clientAuth, prefix+"tls-client-auth", []string{"none", "requested", "required"}, "ask clients for a certificate")
	textVar(fs, &o.principalRules, prefix+"tls-principal-rules", "rules", checkPrincipalRules, "make user names of the names in clients' certificates: ssl.principal.mapping.rules")
	listVar(fs, &o.mechanisms, prefix+"sasl-mechanism", "mechanism", checkMechanism, "let clients authenticate by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; repeatable")
	stringVar(fs, &o.users, prefix+"sasl-users", "users who can authenticate beside those that clients add: a `file` of lines user:password")
	boolVar(fs, &o.authorize, prefix+"authorize", "let clients do what ACLs allow them, and nothing else")
	listVar(fs, &o.superUsers, prefix+"super-user", "User:name", checkPrincipal, "who may do everything, with --authorize; repeatable")
}

// checkPrincipal accepts a principal by its type and name.
func checkPrincipal(s string) error {
	if kind, name, _ := strings.Cut(s, ":"); kind == "" || name == "" {
		return errors.New("allowed is type:name, such as User:admin")
	}
	return nil
}

// apply adds the options to the broker's configuration.
func (o *securityOptions) apply(c *broker.Config) error {
	for _, s := range o.listeners {
		l, err := o.listener(s)
		if err != nil {
			return &optionError{"listener", s, err}
		}
		c.Listeners = append(slices.Clip(c.Listeners), l)
	}
	if len(o.superUsers) > 0 && !o.authorize && !c.Authorize {
		return &optionError{"super-user", o.superUsers[0], errors.New("nobody needs it without --authorize")}
	}
	c.Authorize, c.SuperUsers = c.Authorize || o.authorize, slices.Concat(c.SuperUsers, o.superUsers)
	if o.users == "" {
		return nil
	}
	users, err := readUsers(o.users)
	if err != nil {
		return &optionError{"sasl-users", o.users, err}
	}
	c.Users = slices.Concat(c.Users, users)
	return nil
}

// listenerParams are what a --listener can say behind a question mark instead of the option for all of them.
var listenerParams = []string{"name", "advertise", "tls-cert", "tls-key", "tls-client-ca", "tls-client-auth", "tls-principal-rules", "sasl-mechanism"}

// listener reads protocol://host:port?parameter=value.
func (o *securityOptions) listener(s string) (l broker.Listener, err error) {
	protocol, rest, ok := strings.Cut(s, "://")
	if !ok {
		return l, errors.New("allowed is protocol://host:port")
	}
	address, query, _ := strings.Cut(rest, "?")
	if err := checkAddress(address); err != nil {
		return l, err
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return l, err
	}
	for name := range params {
		if !slices.Contains(listenerParams, name) {
			return l, fmt.Errorf("allowed parameters are %s", strings.Join(listenerParams, ", "))
		}
	}
	get := func(name, standard string) string {
		if params.Has(name) {
			return params.Get(name)
		}
		return standard
	}
	l.Name, l.Address, l.AdvertisedAddress = params.Get("name"), address, params.Get("advertise")
	if err := checkAdvertise(l.AdvertisedAddress); err != nil {
		return l, err
	}
	encrypted, sasl := false, false
	switch strings.ToLower(protocol) {
	case "plaintext":
	case "ssl":
		encrypted = true
	case "sasl_plaintext":
		sasl = true
	case "sasl_ssl":
		encrypted, sasl = true, true
	default:
		return l, errors.New("allowed protocols are plaintext, ssl, sasl_plaintext and sasl_ssl")
	}
	if sasl {
		l.SASLMechanisms = o.mechanisms
		if given := params["sasl-mechanism"]; given != nil {
			l.SASLMechanisms = given
		}
		for _, m := range l.SASLMechanisms {
			if err := checkMechanism(m); err != nil {
				return l, err
			}
		}
	}
	if encrypted {
		l.TLS = &broker.TLSConfig{
			CertFile: get("tls-cert", o.cert), KeyFile: get("tls-key", o.key),
			ClientCAFile: get("tls-client-ca", o.clientCA), PrincipalRules: get("tls-principal-rules", o.principalRules),
		}
		if l.TLS.ClientAuth, err = broker.ParseClientAuth(get("tls-client-auth", o.clientAuth)); err != nil {
			return l, err
		}
		if l.TLS.CertFile == "" {
			return l, errors.New("TLS needs --tls-cert")
		}
		if l.TLS.ClientAuth != broker.ClientAuthNone && l.TLS.ClientCAFile == "" {
			return l, errors.New("certificates of clients need --tls-client-ca")
		}
	}
	return l, nil
}

// checkListener looks at what can be told without the other options.
func checkListener(s string) error {
	o := securityOptions{cert: "later", clientCA: "later", mechanisms: saslMechanisms, clientAuth: "none"}
	_, err := o.listener(s)
	return err
}

func checkMechanism(s string) error {
	if !slices.Contains(saslMechanisms, s) {
		return errors.New("allowed are " + strings.Join(saslMechanisms, ", "))
	}
	return nil
}

func checkPrincipalRules(s string) error {
	c := broker.Config{DataDir: ".", Listeners: []broker.Listener{{Address: ":0", TLS: &broker.TLSConfig{CertFile: "later", PrincipalRules: s}}}}
	if c.Validate() != nil {
		return errors.New("allowed are rules such as RULE:^CN=(.*?),.*$/$1/, parted by commas, and DEFAULT")
	}
	return nil
}

// readUsers reads lines of user:password; empty ones and those that begin with # are passed over.
func readUsers(path string) ([]broker.User, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var users []broker.User
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if !ok || name == "" || password == "" {
			return nil, fmt.Errorf("line %d: want user:password", n)
		}
		users = append(users, broker.User{Name: name, Password: password})
	}
	return users, lines.Err()
}
