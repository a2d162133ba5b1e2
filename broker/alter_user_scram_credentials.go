package broker

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterUserScramCredentials (key 51), version 0. KIP-554. The client salts and hashes the password, so the broker never has
// it. What is answered is on the disk; connections that are open stay so.
func alterUserSCRAMCredentialsAPI() api {
	return api{
		key: 51, min: 0, max: 0, serve: serveAlterUserSCRAMCredentials,
		outline: "[ string int8 ] [ string int8 int32 bytes bytes ]",
	}
}

func serveAlterUserSCRAMCredentials(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AlterUserSCRAMCredentialsRequest)
	denied := !rq.mayCluster(kmsg.ACLOperationAlter)
	var names []string
	changes := make(map[string][]credentialChange)
	refused := make(map[string]error)
	add := func(name string, ch credentialChange, err error) {
		if changes[name] == nil {
			names = append(names, name)
		}
		for _, other := range changes[name] {
			if other.mechanism == ch.mechanism && err == nil {
				err = refusef(codeDuplicateResource, "user %s: %s is named twice in one request", name, ch.mechanism)
			}
		}
		changes[name] = append(changes[name], ch)
		if err != nil && refused[name] == nil {
			refused[name] = err
		}
	}
	for i := range req.Deletions {
		d := &req.Deletions[i]
		mech := scramMechanism(d.Mechanism)
		err := checkCredential(d.Name, mech)
		if err == nil && !rq.broker().users.has(d.Name, mech) {
			err = refusef(codeResourceNotFound, "user %s has no credential for %s", d.Name, mech)
		}
		add(d.Name, credentialChange{mechanism: mech}, err)
	}
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		mech := scramMechanism(u.Mechanism)
		err := checkCredential(u.Name, mech)
		switch {
		case err != nil:
		case u.Iterations < minIterations || u.Iterations > maxIterations:
			err = refusef(codeUnacceptableCredential, "%d iterations are not within %d to %d", u.Iterations, minIterations, maxIterations)
		case len(u.Salt) == 0 || len(u.Salt) > maxSaltBytes:
			err = refusef(codeUnacceptableCredential, "a salt of %d bytes", len(u.Salt))
		case len(u.SaltedPassword) == 0 || len(u.SaltedPassword) > maxSaltedBytes:
			err = refusef(codeUnacceptableCredential, "a salted password of %d bytes", len(u.SaltedPassword))
		}
		ch := credentialChange{mechanism: mech}
		if err == nil {
			c := mech.fromSalted(u.SaltedPassword, u.Salt, int(u.Iterations))
			ch.credential = &c
		}
		add(u.Name, ch, err)
	}
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, name := range names {
		err := refused[name]
		if denied {
			err = clusterRefusal
		}
		if err == nil {
			err = rq.broker().users.alter(name, changes[name])
		}
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User = name
		if refusal := asRefusal(err); refusal != nil {
			r.ErrorCode, r.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		resp.Results = append(resp.Results, r)
	}
	rq.respond(resp)
	return nil
}

func checkCredential(name string, m scramMechanism) error {
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return refusef(codeUnacceptableCredential, "user %q: want a name without zero bytes", name)
	case !m.valid():
		return refusef(codeUnsupportedMechanism, "user %s: mechanism %d is neither SCRAM-SHA-256 nor SCRAM-SHA-512", name, int8(m))
	}
	return nil
}
