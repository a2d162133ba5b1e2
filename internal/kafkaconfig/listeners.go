package kafkaconfig

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafka"
)

// security is what a listener needs beside its address.
type security struct {
	tls        broker.TLSConfig
	mechanisms []string // empty: Kafka's default, which is GSSAPI
}

// endpoint is NAME://host:port of listeners and advertised.listeners.
type endpoint struct{ name, host, port string }

func parseEndpoint(s string) (endpoint, error) {
	name, address, ok := strings.Cut(s, "://")
	if !ok || name == "" {
		return endpoint{}, fmt.Errorf("%q: allowed is NAME://host:port", s)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, fmt.Errorf("%q: allowed is NAME://host:port", s)
	}
	return endpoint{strings.ToUpper(name), host, port}, nil
}

// address is what to listen on; Kafka means every address by 0.0.0.0.
func (e endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// finishListeners makes the listeners of listeners, advertised.listeners, the protocol map and the security there is.
func (s *server) finishListeners() error {
	origin := s.given["listeners"]
	listeners := s.listeners
	if len(listeners) == 0 { // Kafka 0.8 to 2.8 had host.name and port
		port := s.port
		if port == "" {
			port = "9092"
		}
		listeners = []string{"PLAINTEXT://" + net.JoinHostPort(s.hostName, port)}
	}
	advertised := map[string]endpoint{}
	for _, a := range s.advertised {
		e, err := parseEndpoint(a)
		if err == nil && (e.host == "" || e.host == "0.0.0.0") {
			err = fmt.Errorf("%q: allowed is a host that clients can reach", a)
		}
		if err != nil {
			return &Error{s.given["advertised.listeners"], err}
		}
		advertised[e.name] = e
	}
	s.config.Listen, s.config.AdvertisedAddress, s.config.Listeners = "", "", nil
	seen := map[string]bool{}
	for _, text := range listeners {
		e, err := parseEndpoint(text)
		if err != nil {
			return &Error{origin, err}
		}
		if slices.Contains(s.controllers, e.name) {
			s.notes.Unsaid = append(s.notes.Unsaid, "listener "+e.name+" is not opened: the broker is its own controller")
			continue
		}
		l, err := s.listenerOf(e)
		if err != nil {
			return err
		}
		if a, ok := advertised[e.name]; ok {
			l.AdvertisedAddress = a.address()
		} else if s.advHost != "" && len(s.advertised) == 0 {
			port := s.advPort
			if port == "" {
				port = e.port
			}
			l.AdvertisedAddress = net.JoinHostPort(s.advHost, port)
		}
		s.config.Listeners = append(s.config.Listeners, l)
		seen[strings.ToLower(e.name)] = true
	}
	if len(s.config.Listeners) == 0 {
		return &Error{origin, errors.New("there is no listener for clients")}
	}
	for _, name := range sortedKeys(s.listener) {
		if seen[name] || slices.Contains(s.controllers, strings.ToUpper(name)) {
			continue
		}
		for _, setting := range sortedKeys(s.listener[name]) {
			return &Error{s.listener[name][setting], errors.New("there is no listener " + name)}
		}
	}
	return nil
}

// listenerOf puts the security of its protocol on a listener.
func (s *server) listenerOf(e endpoint) (broker.Listener, error) {
	l := broker.Listener{Name: e.name, Address: e.address()}
	protocol, ok := s.protocols[e.name]
	if !ok {
		protocol = e.name
	}
	sec, err := s.securityOf(e.name)
	if err != nil {
		return l, err
	}
	origin := s.given["listeners"]
	switch protocol {
	case "PLAINTEXT":
		return l, nil
	case "SSL", "SASL_SSL":
		if sec.tls.CertFile == "" {
			return l, &Error{origin, fmt.Errorf("listener %s needs ssl.keystore.location, a PEM file of key and certificate", e.name)}
		}
		if sec.tls.ClientAuth != broker.ClientAuthNone && sec.tls.ClientCAFile == "" {
			return l, &Error{origin, fmt.Errorf("listener %s needs ssl.truststore.location, a PEM file, for the certificates of clients", e.name)}
		}
		l.TLS = &sec.tls
	case "SASL_PLAINTEXT":
	default:
		return l, &Error{origin, fmt.Errorf("listener %s has no security protocol; listener.security.protocol.map gives it one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", e.name)}
	}
	if strings.HasPrefix(protocol, "SASL_") {
		if len(sec.mechanisms) == 0 {
			return l, &Error{origin, fmt.Errorf("listener %s needs sasl.enabled.mechanisms: Kafka's default, GSSAPI, is not there; PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are", e.name)}
		}
		l.SASLMechanisms = sec.mechanisms
	}
	return l, nil
}

// securityOf is the security of one listener: that of all, and over it what listener.name.NAME. says.
func (s *server) securityOf(name string) (security, error) {
	own := &server{config: &broker.Config{}, given: s.given, listener: map[string]map[string]Property{}, security: s.security}
	own.mechanisms = slices.Clone(s.mechanisms)
	for _, setting := range sortedKeys(s.listener[strings.ToLower(name)]) {
		p := s.listener[strings.ToLower(name)][setting]
		if mechanism, ok := strings.CutSuffix(setting, ".sasl.jaas.config"); ok {
			if err := s.addUsers(mechanism, p.Value); err != nil {
				return security{}, &Error{p, err}
			}
			continue
		}
		if !strings.HasPrefix(setting, "ssl.") && !strings.HasPrefix(setting, "sasl.") {
			s.notes.WithoutEffect = append(s.notes.WithoutEffect, p.Name)
			continue
		}
		if err := own.put(Property{setting, p.Value, p.Origin}); err != nil {
			return security{}, &Error{p, err}
		}
	}
	for _, n := range own.notes.WithoutEffect {
		s.notes.WithoutEffect = append(s.notes.WithoutEffect, "listener.name."+strings.ToLower(name)+"."+n)
	}
	return own.security, nil
}

// addUsers takes the users out of a JAAS line: user_NAME="password" of the PLAIN login module. That of SCRAM has only who
// the broker itself is to others.
func (s *server) addUsers(mechanism, jaas string) error {
	if strings.HasPrefix(strings.ToUpper(mechanism), "SCRAM-") {
		s.notes.WithoutEffect = append(s.notes.WithoutEffect, mechanism+".sasl.jaas.config")
		return nil
	}
	if !strings.EqualFold(mechanism, "PLAIN") {
		return fmt.Errorf("%s is not there; PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are", strings.ToUpper(mechanism))
	}
	options, err := kafka.ParseJAAS(jaas)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(options) {
		user, ok := strings.CutPrefix(name, "user_")
		if !ok {
			continue
		}
		u := broker.User{Name: user, Password: options[name]}
		if i := slices.IndexFunc(s.config.Users, func(o broker.User) bool { return o.Name == user }); i >= 0 {
			if s.config.Users[i] != u {
				return fmt.Errorf("user %s has two passwords", user)
			}
			continue
		}
		s.config.Users = append(s.config.Users, u)
	}
	return nil
}

// mechanismList reads sasl.enabled.mechanisms.
func mechanismList(s *server, value string) error {
	s.mechanisms = nil
	for _, m := range items(value) {
		if !slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, m) {
			return fmt.Errorf("%s is not there; allowed are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512", m)
		}
		s.mechanisms = append(s.mechanisms, m)
	}
	return nil
}

// pemFile refuses Java's key stores by their names, with a way on.
func pemFile(value string) error {
	lower := strings.ToLower(value)
	for _, suffix := range []string{".jks", ".p12", ".pfx", ".pkcs12"} {
		if strings.HasSuffix(lower, suffix) {
			return errors.New("allowed is a PEM file (" + pemHint + ")")
		}
	}
	return nil
}

const pemHint = "openssl pkcs12 -in store.p12 -nodes -out store.pem turns a PKCS12 store into one, keytool -importkeystore a JKS store into PKCS12"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
