# The bookkeeping API on Rails, as far as it refuses, for capture.mjs: `ruby books.rb`.
#
# POST /claims           one expense claim, refused with {"errors": …}, each line's at its number
# POST /claims/scaffold  the same as the generated controllers refuse it, with the errors alone, and without the lines'
#                        numbers: the framework leaves them out where a model doesn't ask for them
# POST /claims/batch     {"items": [claim, …]}; without items it is refused by the framework, in its own words
#
# The models' validation and what answers for a controller that gave up are the framework's.

require "active_record"
require "action_controller"
require "action_dispatch"
require "rack/handler/webrick"

# The one connection that has the tables goes from thread to thread.
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ":memory:", pool: 1)
ActiveRecord::Migration.verbose = false
ActiveRecord::Schema.define do
  create_table(:batches)
  create_table(:claims) do |t|
    t.belongs_to :batch
    t.string :claim_number, :member, :cost_center, :currency, :period
    t.decimal :amount, precision: 14, scale: 2
  end
  create_table(:lines) do |t|
    t.belongs_to :claim
    t.string :account
    t.decimal :amount, precision: 14, scale: 2
  end
end
ActiveRecord::Base.clear_active_connections!

class Line < ActiveRecord::Base
  validates :account, inclusion: { in: %w[5000 5100 6700 7140 7320] }
  validates :amount, presence: true
end

module Claimed
  extend ActiveSupport::Concern

  included do
    self.table_name = "claims"

    accepts_nested_attributes_for :lines

    validates :claim_number, presence: true, length: { maximum: 40 }
    validates :member, presence: true, length: { maximum: 120 }
    validates :cost_center, inclusion: { in: %w[1000 1010 2000 2010 3000] }
    validates :amount, numericality: { greater_than: 0 }
    validates :currency, inclusion: { in: %w[NOK SEK DKK EUR GBP USD] }
    validates :period, format: { with: /\A\d{4}-(0[1-9]|1[0-2])\z/ }, exclusion: { in: %w[2025-12 2026-01] }
    validate :lines_add_up, if: -> { errors.none? && lines.any? }
  end

  def lines_add_up
    errors.add(:base, "The lines do not add up to the amount") if lines.sum(&:amount) != amount
  end
end

class Claim < ActiveRecord::Base
  has_many :lines, index_errors: true
  include Claimed
end

class ScaffoldedClaim < ActiveRecord::Base
  has_many :lines, foreign_key: :claim_id
  include Claimed
end

class Batch < ActiveRecord::Base
  has_many :items, class_name: "Claim", index_errors: true
  accepts_nested_attributes_for :items
end

class ClaimsController < ActionController::API
  def create
    claim = Claim.new(attributes(params))
    render json: { errors: claim.errors }, status: :unprocessable_entity if claim.invalid?
  end

  def scaffold
    claim = ScaffoldedClaim.new(attributes(params))
    render json: claim.errors, status: :unprocessable_entity if claim.invalid?
  end

  def batch
    batch = Batch.new(items_attributes: params.require(:items).map { |item| attributes(item) })
    render json: { errors: batch.errors }, status: :unprocessable_entity if batch.invalid?
  end

  private

  def attributes(sent)
    claim = sent.permit(:claim_number, :member, :cost_center, :amount, :currency, :period, lines: %i[account amount])
    claim.except(:lines).merge(lines_attributes: claim[:lines] || [])
  end
end

routes = ActionDispatch::Routing::RouteSet.new
routes.draw do
  post "/claims", to: "claims#create"
  post "/claims/scaffold", to: "claims#scaffold"
  post "/claims/batch", to: "claims#batch"
end
answers = ActionDispatch::ShowExceptions.new(routes, ActionDispatch::PublicExceptions.new(__dir__))
app = ->(env) { ActiveRecord::Base.connection_pool.with_connection { answers.call(env) } }

quiet = { AccessLog: [], Logger: WEBrick::Log.new(File::NULL) }
server = WEBrick::HTTPServer.new(BindAddress: "127.0.0.1", Port: 0, **quiet)
server.mount("/", Rack::Handler::WEBrick, app)
trap("TERM") { server.shutdown }
puts "ready http://127.0.0.1:#{server.listeners.first.addr[1]}"
$stdout.flush
server.start
