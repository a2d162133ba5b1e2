package kafkascripts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Storage is a data directory that is to be formatted: it gets a cluster's id and users.
type Storage struct {
	Properties string // server.properties
	ClusterID  string
	Again      bool // one that is formatted is left as it is
	Users      []ScramUser
}

// ScramUser is a user of --add-scram: with a password, or with a salt and what was made of it and the password.
type ScramUser struct {
	Name, Mechanism string
	Iterations      int32
	Password        string
	Salt            []byte
	SaltedPassword  []byte
}

var storage = table("cluster-id= config= ignore-formatted standalone no-initial-controllers initial-controllers= add-scram= release-version= feature= t= c= g s N I= S= f= r=", func(p *parsed) (Command, error) {
	if len(p.rest) != 1 {
		return Command{}, errors.New("give one of format, info, random-uuid")
	}
	switch p.rest[0] {
	case "random-uuid":
		return Command{Action: NewID}, nil
	case "format":
		return p.format()
	case "info":
		return Command{Action: Nothing, Says: []string{"the broker makes its directory when it starts; dump-log prints its meta.properties"}}, nil
	}
	return Command{}, fmt.Errorf("%s is not there; format, info and random-uuid are", p.rest[0])
})

// format reads what kafka-storage.sh format is to do. What it says of controllers and features is without effect.
func (p *parsed) format() (Command, error) {
	f := &Storage{Properties: p.either("config", "c"), ClusterID: p.either("cluster-id", "t"), Again: p.has("ignore-formatted") || p.has("g")}
	switch {
	case f.Properties == "":
		return Command{}, errors.New("--config is missing")
	case f.ClusterID == "":
		return Command{}, errors.New("--cluster-id is missing")
	}
	for _, credential := range append(p.values["add-scram"], p.values["S"]...) {
		u, err := scramUser(credential)
		if err != nil {
			return Command{}, fmt.Errorf("--add-scram: %w", err)
		}
		f.Users = append(f.Users, u)
	}
	return Command{Action: Format, Storage: f}, nil
}

// either is the value of an option of two names.
func (p *parsed) either(long, short string) string {
	if v := p.get(long); v != "" {
		return v
	}
	return p.get(short)
}

// scramUser reads SCRAM-SHA-256=[name=alice,password=…] and its other form, with salt and saltedpassword in Base64.
func scramUser(s string) (ScramUser, error) {
	mechanism, list, _ := strings.Cut(s, "=[")
	list, closed := strings.CutSuffix(list, "]")
	u := ScramUser{Mechanism: mechanism, Iterations: 4096}
	if mechanism != "SCRAM-SHA-256" && mechanism != "SCRAM-SHA-512" || !closed {
		return u, errors.New("allowed is SCRAM-SHA-256=[name=alice,password=secret], or SCRAM-SHA-512")
	}
	for _, pair := range splitList(list) {
		name, value, _ := strings.Cut(pair, "=")
		if len(value) > 1 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
			value = value[1 : len(value)-1]
		}
		var err error
		switch name {
		case "name":
			u.Name = value
		case "password":
			u.Password = value
		case "iterations":
			var n int64
			if n, err = strconv.ParseInt(value, 10, 32); err == nil && (n < 4096 || n > 16384) {
				err = errors.New("allowed are 4096 to 16384")
			}
			u.Iterations = int32(n)
		case "salt":
			u.Salt, err = base64.StdEncoding.DecodeString(value)
		case "saltedpassword":
			u.SaltedPassword, err = base64.StdEncoding.DecodeString(value)
		default:
			err = errors.New("allowed are name, password, iterations, salt and saltedpassword")
		}
		if err != nil {
			return u, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case u.Name == "":
		return u, errors.New("name is missing")
	case (u.Password == "") == (len(u.SaltedPassword) == 0):
		return u, errors.New("give one of password and saltedpassword")
	case (len(u.SaltedPassword) > 0) != (len(u.Salt) > 0):
		return u, errors.New("salt and saltedpassword go together")
	}
	return u, nil
}
