package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Credential is a user's password for a mechanism, as far as a cluster tells it.
type Credential struct {
	User       string `json:"user"`
	Mechanism  string `json:"mechanism"` // SCRAM-SHA-256, SCRAM-SHA-512
	Iterations int32  `json:"iterations"`
}

// Mechanisms are those of which a cluster keeps passwords (KIP-554).
var Mechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}

func mechanism(s string) (kadm.ScramMechanism, error) {
	switch s {
	case "SCRAM-SHA-256":
		return kadm.ScramSha256, nil
	case "SCRAM-SHA-512":
		return kadm.ScramSha512, nil
	}
	return 0, fmt.Errorf("mechanism %q: allowed are SCRAM-SHA-256 and SCRAM-SHA-512", s)
}

// ListUsers lists the credentials of users, or of all, sorted.
func ListUsers(ctx context.Context, cl *kgo.Client, users ...string) ([]Credential, error) {
	described, err := kadm.NewClient(cl).DescribeUserSCRAMs(ctx, users...)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", Problem(err))
	}
	credentials := []Credential{}
	for _, u := range described.Sorted() {
		switch {
		case errors.Is(u.Err, kerr.ResourceNotFound):
			return nil, fmt.Errorf("there is no user %s", u.User)
		case u.Err != nil:
			return nil, fmt.Errorf("user %s: %w", u.User, withMessage(u.Err, u.ErrMessage))
		}
		slices.SortFunc(u.CredInfos, func(a, b kadm.CredInfo) int { return int(a.Mechanism) - int(b.Mechanism) })
		for _, c := range u.CredInfos {
			credentials = append(credentials, Credential{u.User, c.Mechanism.String(), c.Iterations})
		}
	}
	return credentials, nil
}

// SetPassword gives a user a password for mechanisms, in place of one that is there.
func SetPassword(ctx context.Context, cl *kgo.Client, user, password string, iterations int32, mechanisms ...string) error {
	if user == "" || password == "" {
		return errors.New("user and password must not be empty")
	}
	for _, m := range mechanisms { // a request takes one of a user
		if err := upsert(ctx, cl, m, kadm.UpsertSCRAM{User: user, Iterations: iterations, Password: password}); err != nil {
			return err
		}
	}
	return nil
}

// SetSaltedPassword is SetPassword with what the mechanism makes of a password and a salt (RFC 5802, SaltedPassword).
func SetSaltedPassword(ctx context.Context, cl *kgo.Client, user string, salt, salted []byte, iterations int32, mechanism string) error {
	return upsert(ctx, cl, mechanism, kadm.UpsertSCRAM{User: user, Iterations: iterations, Salt: salt, SaltedPassword: salted})
}

func upsert(ctx context.Context, cl *kgo.Client, m string, credential kadm.UpsertSCRAM) (err error) {
	if credential.Mechanism, err = mechanism(m); err != nil {
		return err
	}
	rs, err := kadm.NewClient(cl).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{credential})
	if err := altered(rs, credential.User, err); err != nil {
		return fmt.Errorf("set password of user %s for %s: %w", credential.User, m, err)
	}
	return nil
}

// RemoveUser takes a user's passwords for mechanisms away, or all.
func RemoveUser(ctx context.Context, cl *kgo.Client, user string, mechanisms ...string) error {
	if len(mechanisms) == 0 {
		credentials, err := ListUsers(ctx, cl, user)
		if err != nil {
			return err
		}
		for _, c := range credentials {
			mechanisms = append(mechanisms, c.Mechanism)
		}
	}
	for _, m := range mechanisms {
		mech, err := mechanism(m)
		if err != nil {
			return err
		}
		rs, err := kadm.NewClient(cl).AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: user, Mechanism: mech}}, nil)
		switch err := altered(rs, user, err); {
		case errors.Is(err, kerr.ResourceNotFound):
			return fmt.Errorf("user %s has no password for %s", user, m)
		case err != nil:
			return fmt.Errorf("remove user %s: %w", user, err)
		}
	}
	return nil
}

// altered is what went wrong.
func altered(rs kadm.AlteredUserSCRAMs, user string, err error) error {
	if err != nil {
		return Problem(err)
	}
	return withMessage(rs[user].Err, rs[user].ErrMessage)
}
