-- People numbered i, each with an address and a conversation.

INSERT INTO contact SELECT 'p' || {person}, 'Anna' FROM {numbers};

INSERT INTO address SELECT 'whatsapp:' || {person}, 'p' || {person}, false FROM {numbers};

INSERT INTO conversation
SELECT 'v' || {person}, 'urp', 'p' || {person}, 'whatsapp:' || {person}, 0
  FROM {numbers};
