-- Messages that went the whole way, numbered i. Ids as they really come: ours grow with
-- time; Meta's begin with the person and end with noise, so that an index of them is
-- written to all over.

INSERT INTO original
SELECT 'o' || {pad}, 'urp', :webhook, '{{}}', {bytes}, i FROM {numbers};

INSERT INTO inbox
SELECT 'i' || {pad}, 'urp', 'wamid.HBgM' || {person} || {noise}, 'message', '0', {person},
       'o' || {pad} FROM {numbers};

INSERT INTO cases
SELECT 'c' || {pad}, 'URP-2025-' || i, 'v' || {person}, 'strade', 'answered', i, i
  FROM {numbers};

INSERT INTO message
SELECT 'i' || {pad}, 'in', 'citizen', 'processed', '', 'urp', 'wamid.HBgM' || i,
       'v' || {person}, 'c' || {pad}, :said, i FROM {numbers};

INSERT INTO assignment
SELECT 'i' || {pad}, 'strade', 'words: buca', 'routing', 1.0 FROM {numbers};

INSERT INTO delivery
SELECT 'd' || {pad}, 'i' || {pad}, 'c' || {pad}, 'service:strade', 'handover', 'strade',
       NULL, 'i' || {pad}, 'sent', 'theirs' || {noise}, '', i FROM {numbers};

INSERT INTO receipt
SELECT 'r' || {pad}, 'd' || {pad}, 'theirs' || {noise}, 'sent', i, '', '' FROM {numbers};

INSERT INTO event
SELECT 3 * i + 1, i, 'inbox.accepted', 'i' || {pad}, 'gateway', :data, {bytes}
  FROM {numbers};

INSERT INTO event
SELECT 3 * i + 2, i, 'message.processed', 'i' || {pad}, 'gateway', :data, {bytes}
  FROM {numbers};

INSERT INTO event
SELECT 3 * i + 3, i, 'delivery.sent', 'i' || {pad}, 'gateway', :data, {bytes}
  FROM {numbers};
