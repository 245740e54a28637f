-- Nynorsk beside bokmål and English.
ALTER TABLE users
    DROP CONSTRAINT users_language_check,
    ADD CONSTRAINT users_language_check CHECK (language IN ('en', 'nb', 'nn'));
