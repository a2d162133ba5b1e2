package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Listener is one address to accept Kafka clients on, with a security of its own.
type Listener struct {
	// Name tells listeners apart, in logs and in the listeners config. Empty: Kafka's name of its security protocol
	// (PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL). Each listener's is its own.
	Name string

	// Address is what to listen on, host:port; port 0 takes a free one. Required.
	Address string

	// AdvertisedAddress is the host:port that clients of this listener are told to come back to. Empty: the address they
	// dialled.
	AdvertisedAddress string

	// TLS encrypts, and may take clients by their certificates. Nil: no TLS.
	TLS *TLSConfig

	// SASLMechanisms are those clients may authenticate by: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512. Empty: there is no SASL,
	// and clients are who their certificate says, or User:ANONYMOUS.
	SASLMechanisms []string
}

// Protocol returns Kafka's name of the listener's security protocol.
func (l *Listener) Protocol() string {
	switch {
	case l.TLS != nil && len(l.SASLMechanisms) > 0:
		return "SASL_SSL"
	case l.TLS != nil:
		return "SSL"
	case len(l.SASLMechanisms) > 0:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// listeners returns all listeners there are to be, that of Listen first.
func (c *Config) listeners() []Listener {
	var all []Listener
	if c.Listen != "" {
		all = append(all, Listener{Address: c.Listen, AdvertisedAddress: c.AdvertisedAddress})
	}
	all = append(all, c.Listeners...)
	for i := range all {
		if all[i].Name == "" {
			all[i].Name = all[i].Protocol()
		}
	}
	return all
}

func (c *Config) checkListeners() error {
	if c.AdvertisedAddress != "" {
		if err := checkAdvertised(c.AdvertisedAddress); err != nil {
			return inField("AdvertisedAddress", err)
		}
	}
	if c.Listen != "" {
		if _, _, err := splitHostPort(c.Listen, 0); err != nil {
			return inField("Listen", err)
		}
	}
	seen := make(map[string]bool)
	for _, l := range c.listeners() {
		if err := l.check(); err != nil {
			return inField("Listeners", fmt.Errorf("%s: %w", l.Name, err))
		}
		if seen[l.Name] {
			return inField("Listeners", fmt.Errorf("%s: two have this name", l.Name))
		}
		seen[l.Name] = true
	}
	return nil
}

func (l *Listener) check() error {
	if _, _, err := splitHostPort(l.Address, 0); err != nil {
		return inField("Address", err)
	}
	if l.AdvertisedAddress != "" {
		if err := checkAdvertised(l.AdvertisedAddress); err != nil {
			return inField("AdvertisedAddress", err)
		}
	}
	for _, m := range l.SASLMechanisms {
		if !slices.Contains(saslMechanisms, m) {
			return inField("SASLMechanisms", fmt.Errorf("%q is none of %s", m, strings.Join(saslMechanisms, ", ")))
		}
	}
	if l.TLS != nil {
		if err := l.TLS.check(); err != nil {
			return inField("TLS", err)
		}
	}
	return nil
}

func checkAdvertised(addr string) error {
	host, _, err := splitHostPort(addr, 1)
	if err == nil && host == "" {
		err = errors.New(addr + " has no host")
	}
	return err
}
