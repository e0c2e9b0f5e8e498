package rsync

func (s *session) receiveFiles() error { return nil }
