-- Description: paint, which takes the place of colour; whoever writes one of them writes both
-- Breaking: no
-- Manual: yes
-- Lock: exclusive-brief
-- Previous: serves
-- Needed: later

ALTER TABLE shop.things ADD COLUMN paint text;
CREATE FUNCTION shop.paint_both() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What was changed decides; an old program knows nothing of paint, a new one leaves colour alone.
    IF TG_OP = 'INSERT' THEN
        NEW.paint := coalesce(NEW.paint, NEW.colour);
        NEW.colour := NEW.paint;
    ELSIF NEW.colour IS DISTINCT FROM OLD.colour THEN
        NEW.paint := NEW.colour;
    ELSIF NEW.paint IS DISTINCT FROM OLD.paint THEN
        NEW.colour := NEW.paint;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER paint_both BEFORE INSERT OR UPDATE ON shop.things FOR EACH ROW EXECUTE FUNCTION shop.paint_both();
